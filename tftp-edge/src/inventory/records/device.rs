//! The columns of a device.

use super::super::notation::{entries, join, quote, unquote};
use super::super::{Device, ModelKind, Models, Protocol, text};
use super::layer::{self, Layer};
use super::{Column, Mistake, Secrets, keys, lines, name};

pub(super) const COLUMNS: &[Column] = &[
    Column::key("name", "SEP001122334455, or the name of a soft phone"),
    Column::required("model", "7941, CP-8851 …"),
    Column::optional(
        "protocol",
        "sip or sccp; not needed if the model speaks only one",
    ),
    Column::required(
        "lines",
        "1001:Alice Smith;1002|display=Bob|max_calls=4|busy_trigger=2|auto_answer|ring_idle=2|\
         ring_active=1|mwi_lamp=1",
    ),
    Column::optional("auth_name", "of SIP lines: one for all, or one;for;each"),
    Column::optional("secret", "of SIP lines: one for all, or one;for;each"),
    Column::optional("site", "default, if empty"),
    Column::optional("profile", "whose settings it has before its own"),
    Column::optional("load", "firmware for this device alone, without .loads"),
    Column::optional("description", "any text, up to 128 characters"),
    Column::optional("owner", "the user it belongs to"),
    Column::optional(
        "keys",
        "3=speed_dial:2001:Bob;4=blf:2002:Carol;5=service:News;6=feature:dnd",
    ),
    Column::optional("modules", "7916-24;7916-12  in their order"),
    Column::optional("settings", "KEY=VALUE;…  of this device alone"),
];

pub(super) fn get(device: &Device, column: &str, secrets: Secrets) -> String {
    match column {
        "name" => device.name.to_string(),
        "model" => device.model.clone(),
        "protocol" => device.protocol.to_string(),
        "lines" => lines::print(&device.lines),
        "auth_name" => lines::gather(&device.lines, |line| &line.auth_name),
        "secret" if secrets == Secrets::Hidden => {
            let is_set = device.lines.iter().any(|line| !line.secret.is_empty());
            super::super::settings::shown("password", if is_set { "set" } else { "" }).into()
        }
        "secret" => lines::gather(&device.lines, |line| &line.secret),
        "site" => device.site.clone(),
        "profile" => device.profile.clone().unwrap_or_default(),
        "load" => device.load.clone().unwrap_or_default(),
        "description" => device.description.clone(),
        "owner" => device.owner.clone(),
        "keys" => keys::print(&device.keys),
        "modules" => join(device.modules.iter().map(|module| quote(module, ""))),
        "settings" => layer::print(&device.settings, secrets),
        setting => layer::get(&device.settings, setting, secrets),
    }
}

/// The columns are set in the order of [`COLUMNS`]: those of lines need the lines.
pub(super) fn set(device: &mut Device, column: &str, field: &str) -> Result<(), String> {
    let field = field.trim();
    match column {
        "model" => device.model = text::value(field, 50)?,
        "protocol" => device.protocol = protocol(field)?,
        "lines" => device.lines = lines::parse(field, &device.lines)?,
        "auth_name" => lines::spread(field, 64, &mut device.lines, |line, value| {
            line.auth_name = value;
        })?,
        "secret" => lines::spread(field, 128, &mut device.lines, |line, value| {
            line.secret = value;
        })?,
        "site" => {
            device.site = match field {
                "" => super::super::DEFAULT_SITE.into(),
                site => text::value(site, 50)?,
            }
        }
        "profile" => device.profile = Some(text::value(field, 50)?).filter(|name| !name.is_empty()),
        "load" => device.load = load(field)?,
        "description" => device.description = text::value(field, 128)?,
        "owner" => device.owner = text::value(field, 128)?,
        "keys" => device.keys = keys::parse(field)?,
        "modules" => {
            let modules = entries(field)?.into_iter().map(unquote);
            device.modules = modules.collect::<Result<_, _>>()?;
        }
        "settings" => device.settings = Layer::Other.parse(field)?,
        setting => Layer::Other.set(&mut device.settings, setting, field)?,
    }
    Ok(())
}

pub(super) fn protocol(text: &str) -> Result<Protocol, String> {
    text.parse()
        .map_err(|()| format!("{text:?}; expected sip or sccp"))
}

/// A load is named without its suffix in a configuration; here it may have it.
pub(super) fn load(text: &str) -> Result<Option<String>, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let load = text.strip_suffix(".loads").unwrap_or(text);
    match load {
        "" => Ok(None),
        load if load.len() > 64 || load.starts_with('.') || !load.chars().all(known) => Err(
            format!("{text:?} is no firmware load; expected a name such as SIP41.9-4-2SR3-1S"),
        ),
        load => Ok(Some(load.to_owned())),
    }
}

/// That the device is of a model nobody knows.
pub(super) fn unknown_model(device: &Device, models: &Models) -> Option<Mistake> {
    match models.find(&device.model) {
        Some(_) => None,
        None => Some(Mistake::of("model", name::unknown_model(&device.model))),
    }
}

/// Looks at the whole device, and writes its models as they are called. `protocol` is none if it
/// was left to the model.
pub(super) fn check(
    device: &mut Device,
    protocol: Option<Protocol>,
    models: &Models,
) -> Result<(), Mistake> {
    let Some(model) = models.find(&device.model) else {
        return unknown_model(device, models).map_or(Ok(()), Err);
    };
    device.model = model.name.to_string();
    device.protocol = match (protocol, model.sip, model.sccp) {
        (Some(protocol), ..) if model.speaks(protocol) => protocol,
        (Some(protocol), sip, sccp) => {
            let problem = format!("a {} reads no {protocol} configuration", model.name);
            let expected = match (sip, sccp) {
                (true, _) => "; expected sip",
                (_, true) => "; expected sccp",
                (false, false) => "",
            };
            return Err(Mistake::of("protocol", problem + expected));
        }
        (None, true, false) => Protocol::Sip,
        (None, false, true) => Protocol::Sccp,
        (None, ..) => {
            let problem = format!(
                "it is missing, and a {} can be either; expected sip or sccp",
                model.name
            );
            return Err(Mistake::of("protocol", problem));
        }
    };
    if let Err(expected) = model.check_name(device.name.kind(), device.protocol) {
        let problem = format!(
            "{} cannot be a {}; expected {expected}",
            device.name, model.name
        );
        return Err(Mistake::of("name", problem));
    }
    let mut buttons = usize::from(model.lines);
    for module in &mut device.modules {
        let known = models
            .find(module)
            .filter(|model| model.kind == ModelKind::Module);
        let Some(known) = known else {
            let modules = models
                .iter()
                .filter(|model| model.kind == ModelKind::Module);
            let names: Vec<_> = modules.map(|model| &*model.name).collect();
            let problem = format!("{module:?} is no module; there are: {}", names.join(", "));
            return Err(Mistake::of("modules", problem));
        };
        *module = known.name.to_string();
        buttons += usize::from(known.lines);
    }
    check_buttons(device, model.lines, buttons)
}

/// Each line and each key needs a button.
fn check_buttons(device: &Device, on_phone: u16, buttons: usize) -> Result<(), Mistake> {
    let has = match device.modules.len() {
        0 => format!("a {} has {buttons} buttons", device.model),
        count => format!(
            "a {} has {on_phone} buttons, {buttons} with {count} modules",
            device.model
        ),
    };
    if let Some((last, _)) = device.keys.last_key_value()
        && usize::from(*last) > buttons
    {
        let problem = format!("there is no button {last}; {has}");
        return Err(Mistake::of("keys", problem));
    }
    let (lines, keys) = (device.lines.len(), device.keys.len());
    if lines + keys > buttons {
        let problem = match keys {
            0 => format!("{lines} lines; {has}"),
            keys => format!("{lines} lines and {keys} keys; {has}"),
        };
        return Err(Mistake::of("lines", problem));
    }
    Ok(())
}
