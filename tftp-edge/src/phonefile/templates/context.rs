//! What a template is given.
//!
//! | name | what it is |
//! |---|---|
//! | `generated` | the file as we would serve it without a template |
//! | `device` | `name`, `mac`, `model`, `protocol`, `description`, `owner`, `site`, `profile`, `modules`, `keys` |
//! | `lines` | each with `button`, `number`, `label`, `display_name`, `auth_name`, `secret`, `options` |
//! | `line` | the first of them |
//! | `settings` | every key of the settings that hold for the device, as text: `settings.voicemail` |
//! | `services` | its phone services: `name`, `url`, `kind`, `category`, `vendor`, `version` |
//! | `model` | `name`, `kind`, `type_id`, `lines`, `max_calls`; none if the model is not known |
//! | `load` | the firmware it is to run; none if it keeps its own |
//! | `site` | `name` |
//!
//! A shared file has `generated`, `settings` and `site` alone.

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::super::RenderError;
use crate::inventory::{Device, Line, LineKey, LineOptions, PhoneService, Snapshot};

#[derive(Serialize)]
struct DeviceView<'a> {
    name: String,
    mac: Option<String>,
    model: &'a str,
    protocol: &'static str,
    description: &'a str,
    owner: &'a str,
    site: &'a str,
    profile: Option<&'a str>,
    modules: &'a [String],
    keys: Vec<KeyView<'a>>,
}

#[derive(Serialize)]
struct KeyView<'a> {
    button: u16,
    #[serde(flatten)]
    key: &'a LineKey,
}

/// Unlike the line itself it shows its secret: that is what a configuration is for.
#[derive(Serialize)]
struct LineView<'a> {
    button: u16,
    number: &'a str,
    label: &'a str,
    display_name: &'a str,
    auth_name: &'a str,
    secret: &'a str,
    options: LineOptions,
}

#[derive(Serialize)]
struct ServiceView<'a> {
    name: &'a str,
    #[serde(flatten)]
    service: &'a PhoneService,
}

pub(super) fn of_device(
    device: &Device,
    snapshot: &Snapshot,
    generated: String,
) -> Result<Value, RenderError> {
    let settings = snapshot.settings(device)?;
    let lines: Vec<_> = device
        .lines_on_buttons()
        .map(|(button, line)| line_view(button, line))
        .collect();
    let keys = device.keys.iter();
    let view = DeviceView {
        name: device.name.to_string(),
        mac: device.name.mac().map(|mac| mac.to_string()),
        model: &device.model,
        protocol: device.protocol.as_str(),
        description: &device.description,
        owner: &device.owner,
        site: &device.site,
        profile: device.profile.as_deref(),
        modules: &device.modules,
        keys: keys.map(|(&button, key)| KeyView { button, key }).collect(),
    };
    let services: Vec<_> = settings
        .services
        .iter()
        .map(|(name, service)| ServiceView { name, service })
        .collect();
    Ok(context! {
        generated => Value::from_safe_string(generated),
        device => Serde(&view),
        line => Serde(lines.first()),
        lines => Serde(&lines),
        settings => settings.phone.pairs(),
        services => Serde(&services),
        model => Serde(snapshot.models.find(&device.model)),
        load => snapshot.load(device),
        site => context! { name => device.site.as_str() },
    })
}

pub(super) fn of_site(
    site: &str,
    snapshot: &Snapshot,
    generated: String,
) -> Result<Value, RenderError> {
    let settings = snapshot.site_settings(site)?;
    Ok(context! {
        generated => Value::from_safe_string(generated),
        settings => settings.phone.pairs(),
        site => context! { name => site },
    })
}

fn line_view(button: u16, line: &Line) -> LineView<'_> {
    LineView {
        button,
        number: &line.number,
        label: line.label(),
        display_name: line.display_name(),
        auth_name: line.auth_name(),
        secret: &line.secret,
        options: line.options,
    }
}
