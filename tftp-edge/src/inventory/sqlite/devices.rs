//! Devices and all that is theirs alone: six tables in the order of the device's name.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::ToSql;
use rusqlite::{CachedStatement, Connection, Row, Transaction, params};

use super::super::{Device, DeviceName, KeyAction, Line, LineKey, LineOptions, Protocol, Scope};
use super::StoreError;

/// From this many on, reading all of them is quicker than finding each.
const FEW: usize = 1000;

/// The devices of the scope, in the order of their names.
pub(super) fn read(connection: &Connection, scope: Scope<'_>) -> Result<Vec<Device>, StoreError> {
    let names = match scope {
        Scope::Everything => return select(connection, None),
        Scope::Devices(names) => BTreeSet::from_iter(names.iter().copied()),
    };
    if names.len() >= FEW {
        let mut devices = select(connection, None)?;
        devices.retain(|device| names.contains(&device.name));
        return Ok(devices);
    }
    let mut devices = Vec::new();
    for name in names {
        devices.append(&mut select(connection, Some(name))?);
    }
    Ok(devices)
}

/// All devices, or the one of that name.
fn select(connection: &Connection, only: Option<DeviceName>) -> Result<Vec<Device>, StoreError> {
    let only = only.map(|name| name.to_string());
    let select = Select {
        connection,
        only: only.as_deref(),
    };
    let mut devices = Vec::new();
    select.each(
        "SELECT name, model, protocol, site, load, description, profile, owner FROM devices",
        "name",
        "name",
        |row| {
            devices.push(device(row)?);
            Ok(())
        },
    )?;
    select.of_devices(
        "SELECT device, number, label, auth_name, secret, display_name, max_calls, busy_trigger,
         auto_answer, ring_idle, ring_active, mwi_lamp FROM lines",
        "position",
        &mut devices,
        |device, row| {
            device.lines.push(line(row)?);
            Ok(())
        },
    )?;
    select.of_devices(
        "SELECT device, button, label, action, target FROM line_keys",
        "button",
        &mut devices,
        |device, row| {
            let (button, key) = line_key(row)?;
            device.keys.insert(button, key);
            Ok(())
        },
    )?;
    select.of_devices(
        "SELECT device, model FROM modules",
        "position",
        &mut devices,
        |device, row| {
            device.modules.push(row.get(1)?);
            Ok(())
        },
    )?;
    select.of_devices(
        "SELECT device, key, value FROM device_settings",
        "key",
        &mut devices,
        |device, row| {
            device.settings.insert(row.get(1)?, row.get(2)?);
            Ok(())
        },
    )?;
    Ok(devices)
}

struct Select<'a> {
    connection: &'a Connection,
    only: Option<&'a str>,
}

impl Select<'_> {
    fn each(
        &self,
        select: &str,
        device_column: &str,
        order: &str,
        mut row: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (filter, only): (_, &[&dyn ToSql]) = match &self.only {
            Some(name) => (format!("WHERE {device_column} = ?1"), &[name]),
            None => (String::new(), &[]),
        };
        let sql = format!("{select} {filter} ORDER BY {order}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(only)?;
        while let Some(found) = rows.next()? {
            row(found)?;
        }
        Ok(())
    }

    /// Both are in the order of the name, so one walk brings them together.
    fn of_devices(
        &self,
        select: &str,
        order: &str,
        devices: &mut [Device],
        mut put: impl FnMut(&mut Device, &Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut devices = devices.iter_mut().peekable();
        self.each(select, "device", &format!("device, {order}"), |row| {
            let of_device = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            while devices
                .next_if(|device| device.name.as_str() < of_device)
                .is_some()
            {}
            match devices.peek_mut() {
                Some(device) if device.name.as_str() == of_device => put(device, row),
                _ => Ok(()),
            }
        })
    }
}

fn device(row: &Row<'_>) -> Result<Device, StoreError> {
    let text: String = row.get(0)?;
    let name = text
        .parse()
        .map_err(|_| unknown("devices", &text, "name", text.clone()))?;
    Ok(Device {
        name,
        model: row.get(1)?,
        protocol: protocol("devices", &text, row.get(2)?)?,
        site: row.get(3)?,
        load: row.get(4)?,
        description: row.get(5)?,
        profile: row.get(6)?,
        owner: row.get(7)?,
        lines: Vec::new(),
        keys: BTreeMap::new(),
        modules: Vec::new(),
        settings: BTreeMap::new(),
    })
}

fn line(row: &Row<'_>) -> Result<Line, StoreError> {
    Ok(Line {
        number: row.get(1)?,
        label: row.get(2)?,
        auth_name: row.get(3)?,
        secret: row.get(4)?,
        display_name: row.get(5)?,
        options: LineOptions {
            max_calls: row.get(6)?,
            busy_trigger: row.get(7)?,
            auto_answer: row.get(8)?,
            ring_idle: row.get(9)?,
            ring_active: row.get(10)?,
            mwi_lamp: row.get(11)?,
        },
    })
}

fn line_key(row: &Row<'_>) -> Result<(u16, LineKey), StoreError> {
    let action: String = row.get(3)?;
    let target: String = row.get(4)?;
    let action = match action.as_str() {
        "speed_dial" => KeyAction::SpeedDial { number: target },
        "blf" => KeyAction::Blf { number: target },
        "service" => KeyAction::Service { name: target },
        "feature" => KeyAction::Feature { name: target },
        _ => {
            let device: String = row.get(0)?;
            return Err(unknown("line_keys", &device, "action", action));
        }
    };
    let label = row.get(2)?;
    Ok((row.get(1)?, LineKey { label, action }))
}

pub(super) fn protocol(
    table: &'static str,
    name: &str,
    value: String,
) -> Result<Protocol, StoreError> {
    value
        .parse()
        .map_err(|()| unknown(table, name, "protocol", value))
}

pub(super) fn unknown(
    table: &'static str,
    name: &str,
    column: &'static str,
    value: String,
) -> StoreError {
    StoreError::Row {
        table,
        name: name.into(),
        column,
        value,
    }
}

/// The statements that change devices, prepared once for a whole import.
pub(super) struct DeviceWriter<'t> {
    device: CachedStatement<'t>,
    /// What is theirs alone goes and comes again as a whole.
    clear: [CachedStatement<'t>; 4],
    line: CachedStatement<'t>,
    key: CachedStatement<'t>,
    module: CachedStatement<'t>,
    setting: CachedStatement<'t>,
    remove: CachedStatement<'t>,
    close: CachedStatement<'t>,
}

impl<'t> DeviceWriter<'t> {
    pub(super) fn new(transaction: &'t Transaction<'_>) -> Result<Self, StoreError> {
        let statement = |sql| transaction.prepare_cached(sql);
        Ok(Self {
            device: statement(
                "INSERT INTO devices
                     (name, model, protocol, site, load, description, profile, owner)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (name) DO UPDATE SET
                     model = excluded.model, protocol = excluded.protocol, site = excluded.site,
                     load = excluded.load, description = excluded.description,
                     profile = excluded.profile, owner = excluded.owner",
            )?,
            clear: [
                statement("DELETE FROM lines WHERE device = ?1")?,
                statement("DELETE FROM line_keys WHERE device = ?1")?,
                statement("DELETE FROM modules WHERE device = ?1")?,
                statement("DELETE FROM device_settings WHERE device = ?1")?,
            ],
            line: statement(
                "INSERT INTO lines
                     (device, position, number, label, auth_name, secret, display_name, max_calls,
                      busy_trigger, auto_answer, ring_idle, ring_active, mwi_lamp)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?,
            key: statement(
                "INSERT INTO line_keys (device, button, label, action, target)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            module: statement("INSERT INTO modules (device, position, model) VALUES (?1, ?2, ?3)")?,
            setting: statement(
                "INSERT INTO device_settings (device, key, value) VALUES (?1, ?2, ?3)",
            )?,
            remove: statement("DELETE FROM devices WHERE name = ?1")?,
            close: statement("DELETE FROM windows WHERE device = ?1")?,
        })
    }

    /// `is_new`: there is no device of that name.
    pub(super) fn write(&mut self, device: &Device, is_new: bool) -> Result<(), StoreError> {
        let name = device.name.as_str();
        self.device.execute(params![
            name,
            device.model,
            device.protocol.as_str(),
            device.site,
            device.load,
            device.description,
            device.profile,
            device.owner,
        ])?;
        if !is_new {
            for statement in &mut self.clear {
                statement.execute([name])?;
            }
        }
        for (position, line) in (0_u32..).zip(&device.lines) {
            let options = &line.options;
            self.line.execute(params![
                name,
                position,
                line.number,
                line.label,
                line.auth_name,
                line.secret,
                line.display_name,
                options.max_calls,
                options.busy_trigger,
                options.auto_answer,
                options.ring_idle,
                options.ring_active,
                options.mwi_lamp,
            ])?;
        }
        for (button, LineKey { label, action }) in &device.keys {
            let (action, target) = match action {
                KeyAction::SpeedDial { number } => ("speed_dial", number),
                KeyAction::Blf { number } => ("blf", number),
                KeyAction::Service { name } => ("service", name),
                KeyAction::Feature { name } => ("feature", name),
            };
            self.key
                .execute(params![name, button, label, action, target])?;
        }
        for (position, module) in (0_u32..).zip(&device.modules) {
            self.module.execute(params![name, position, module])?;
        }
        for (key, value) in &device.settings {
            self.setting.execute(params![name, key, value])?;
        }
        Ok(())
    }

    /// With all that is its own; its provisioning window too.
    pub(super) fn remove(&mut self, name: DeviceName) -> Result<(), StoreError> {
        self.remove.execute([name.as_str()])?;
        self.close.execute([name.as_str()])?;
        Ok(())
    }
}
