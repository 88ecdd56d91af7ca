//! Which names upstream servers are asked for.

use wildmatch::WildMatch;

use super::Settings;

/// The patterns of the settings.
#[derive(Clone, Debug)]
pub struct Names {
    names: Vec<WildMatch>,
    except: Vec<WildMatch>,
}

impl Names {
    pub fn new(settings: &Settings) -> Self {
        let patterns = |patterns: &[String]| {
            let pattern = |pattern: &String| WildMatch::new(&pattern.to_ascii_lowercase());
            patterns.iter().map(pattern).collect()
        };
        Self {
            names: patterns(&settings.names),
            except: patterns(&settings.except),
        }
    }

    /// Whether a normalised name is one to ask for.
    pub fn hold(&self, name: &str) -> bool {
        let any = |patterns: &[WildMatch]| patterns.iter().any(|pattern| pattern.matches(name));
        any(&self.names) && !any(&self.except)
    }
}
