//! The columns of models the operator adds or corrects, and of the firmware of models.

use super::super::notation::{entries, unquote};
use super::super::{Model, ModelKind, Protocol};
use super::Column;
use super::object::number;

pub(super) const COLUMNS: &[Column] = &[
    Column::key("name", "as devices have it, without CP-: 8845"),
    Column::optional("kind", "phone (if empty), module, ata or softphone"),
    Column::optional(
        "type_id",
        "the number in <loadInformation…> of XMLDefault.cnf.xml; empty if it is not known",
    ),
    Column::required("protocols", "sip, sccp or sip;sccp"),
    Column::required("lines", "1 to 200: line keys, or the keys of a module"),
    Column::optional("max_calls", "0 to 1000: the most calls a SIP phone takes"),
];

pub(super) const LOAD_COLUMNS: &[Column] = &[
    Column::key("model", "7941"),
    Column::key("protocol", "sip or sccp"),
    Column::required("load", "SIP41.9-4-2SR3-1S, without .loads"),
];

const KINDS: [(&str, ModelKind); 4] = [
    ("phone", ModelKind::Phone),
    ("module", ModelKind::Module),
    ("ata", ModelKind::Ata),
    ("softphone", ModelKind::SoftPhone),
];

/// A name a model can have, without the sales prefix.
pub(super) fn name(text: &str) -> Result<String, String> {
    let name = match text.get(..3) {
        Some(prefix) if prefix.eq_ignore_ascii_case("CP-") => &text[3..],
        _ => text,
    };
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 32 || !name.chars().all(known) {
        return Err(format!(
            "{text:?} is no model; expected up to 32 letters, digits and - _ ."
        ));
    }
    Ok(name.into())
}

pub(super) fn get(model: &Model, column: &str) -> String {
    match column {
        "name" => model.name.to_string(),
        "kind" => KINDS
            .iter()
            .find(|(_, kind)| *kind == model.kind)
            .map_or(String::new(), |(name, _)| (*name).into()),
        "type_id" => model.type_id.map_or(String::new(), |id| id.to_string()),
        "protocols" => {
            let spoken = Protocol::ALL
                .into_iter()
                .filter(|&spoken| model.speaks(spoken));
            spoken.map(Protocol::as_str).collect::<Vec<_>>().join(";")
        }
        "lines" if model.lines == 0 => String::new(),
        "lines" => model.lines.to_string(),
        "max_calls" => model.max_calls.to_string(),
        _ => String::new(),
    }
}

pub(super) fn set(model: &mut Model, column: &str, field: &str) -> Result<(), String> {
    let field = field.trim();
    match column {
        "kind" => {
            let kind = match field {
                "" => Some(ModelKind::Phone),
                field => KINDS
                    .iter()
                    .find(|(name, _)| *name == field)
                    .map(|(_, kind)| *kind),
            };
            model.kind =
                kind.ok_or_else(|| format!("{field:?}; expected phone, module, ata or softphone"))?;
        }
        "type_id" => {
            model.type_id = match field {
                "" => None,
                field => Some(number(field, 1, u32::MAX)?),
            }
        }
        "protocols" => {
            let mut spoken = Vec::new();
            for protocol in entries(field)? {
                spoken.push(super::device::protocol(&unquote(protocol)?)?);
            }
            if spoken.is_empty() {
                return Err("it is empty; expected sip, sccp or sip;sccp".into());
            }
            model.sip = spoken.contains(&Protocol::Sip);
            model.sccp = spoken.contains(&Protocol::Sccp);
        }
        // In range, so both fit.
        "lines" => model.lines = number(field, 1, 200)? as u16,
        "max_calls" => {
            model.max_calls = match field {
                "" => 0,
                field => number(field, 0, 1000)?,
            }
        }
        _ => {}
    }
    Ok(())
}

/// A model of which nothing is known yet.
pub(super) fn blank(name: String) -> Model {
    Model {
        name: name.into(),
        kind: ModelKind::Phone,
        type_id: None,
        sip: false,
        sccp: false,
        lines: 0,
        max_calls: 0,
    }
}
