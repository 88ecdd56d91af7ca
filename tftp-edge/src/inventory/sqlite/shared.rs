//! What devices share: layers of settings, firmware of models, and small named things.

use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::{Contents, LayerSettings, Record, Table};
use super::devices::{protocol, unknown};
use super::{StoreError, database};

/// Adds everything but devices and windows.
pub(super) fn read(connection: &Connection, contents: &mut Contents) -> Result<(), StoreError> {
    for (table, settings, column) in [SITES, PROFILES] {
        let layers = match table {
            "sites" => &mut contents.sites,
            _ => &mut contents.profiles,
        };
        let mut names = connection.prepare_cached(&format!("SELECT name FROM {table}"))?;
        for name in names.query_map([], |row| row.get(0))? {
            layers.insert(name?, LayerSettings::new());
        }
        let mut statement =
            connection.prepare_cached(&format!("SELECT {column}, key, value FROM {settings}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let layer = layers.entry(row.get(0)?).or_default();
            layer.insert(row.get(1)?, row.get(2)?);
        }
    }
    let mut loads = connection.prepare_cached("SELECT model, protocol, load FROM model_loads")?;
    let mut rows = loads.query([])?;
    while let Some(row) = rows.next()? {
        let model: String = row.get(0)?;
        let protocol = protocol("model_loads", &model, row.get(1)?)?;
        contents.loads.insert((model, protocol), row.get(2)?);
    }
    let mut objects = connection.prepare_cached("SELECT kind, name, value FROM objects")?;
    let mut rows = objects.query([])?;
    while let Some(row) = rows.next()? {
        contents.put_shared(object(row.get(0)?, row.get(1)?, row.get(2)?)?);
    }
    Ok(())
}

/// The tables of a layer, and the column that names it.
const SITES: (&str, &str, &str) = ("sites", "site_settings", "site");
const PROFILES: (&str, &str, &str) = ("profiles", "profile_settings", "profile");

fn object(kind: String, name: String, value: String) -> Result<Record, StoreError> {
    let Ok(table) = kind.parse::<Table>() else {
        return Err(unknown("objects", &name, "kind", kind));
    };
    let record = match table {
        Table::Models => Record::Model(json(table, &name, &value)?),
        Table::ServerGroups => Record::ServerGroup(name.clone(), json(table, &name, &value)?),
        Table::SoftKeys => Record::SoftKeys(name.clone(), json(table, &name, &value)?),
        Table::DialPlans => Record::DialPlan(name.clone(), json(table, &name, &value)?),
        Table::AppDialRules => {
            let order = name
                .parse()
                .map_err(|_| unknown(table.as_str(), &name, "name", name.clone()))?;
            Record::AppDialRule(order, json(table, &name, &value)?)
        }
        Table::FeaturePolicies => Record::FeaturePolicy(name.clone(), json(table, &name, &value)?),
        Table::Services => Record::Service(name.clone(), json(table, &name, &value)?),
        Table::Loads | Table::Profiles | Table::Sites | Table::Devices => {
            return Err(unknown("objects", &name, "kind", kind));
        }
    };
    Ok(record)
}

fn json<T: DeserializeOwned>(table: Table, name: &str, value: &str) -> Result<T, StoreError> {
    serde_json::from_str(value)
        .map_err(|_| unknown(table.as_str(), name, "value", value.to_owned()))
}

/// Writes a record in the place of that with its key. Devices are not written here.
pub(super) fn write(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    match record {
        Record::Site(name, settings) => write_layer(transaction, SITES, name, settings),
        Record::Profile(name, settings) => write_layer(transaction, PROFILES, name, settings),
        Record::Load {
            model,
            protocol,
            load,
        } => {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO model_loads (model, protocol, load) VALUES (?1, ?2, ?3)
                 ON CONFLICT (model, protocol) DO UPDATE SET load = excluded.load",
            )?;
            statement.execute(params![model, protocol.as_str(), load])?;
            Ok(())
        }
        Record::Model(model) => write_object(transaction, record, model),
        Record::ServerGroup(_, servers) => write_object(transaction, record, servers),
        Record::SoftKeys(_, set) => write_object(transaction, record, set),
        Record::DialPlan(_, plan) => write_object(transaction, record, plan),
        Record::AppDialRule(_, rule) => write_object(transaction, record, rule),
        Record::FeaturePolicy(_, policy) => write_object(transaction, record, policy),
        Record::Service(_, service) => write_object(transaction, record, service),
        Record::Device(_) => Ok(()),
    }
}

/// Takes the record of the same key away. Devices are not removed here.
pub(super) fn remove(transaction: &Transaction<'_>, record: &Record) -> Result<(), StoreError> {
    match record {
        Record::Site(name, _) => transaction.execute("DELETE FROM sites WHERE name = ?1", [name]),
        Record::Profile(name, _) => {
            transaction.execute("DELETE FROM profiles WHERE name = ?1", [name])
        }
        Record::Load {
            model, protocol, ..
        } => transaction.execute(
            "DELETE FROM model_loads WHERE model = ?1 AND protocol = ?2",
            params![model, protocol.as_str()],
        ),
        Record::Device(_) => Ok(0),
        _ => transaction.execute(
            "DELETE FROM objects WHERE kind = ?1 AND name = ?2",
            params![record.table().as_str(), record.key()],
        ),
    }?;
    Ok(())
}

fn write_layer(
    transaction: &Transaction<'_>,
    (table, settings_table, column): (&str, &str, &str),
    name: &str,
    settings: &LayerSettings,
) -> Result<(), StoreError> {
    let statement = |sql: String| transaction.prepare_cached(&sql);
    statement(format!("INSERT OR IGNORE INTO {table} (name) VALUES (?1)"))?.execute([name])?;
    statement(format!("DELETE FROM {settings_table} WHERE {column} = ?1"))?.execute([name])?;
    let mut insert = statement(format!(
        "INSERT INTO {settings_table} ({column}, key, value) VALUES (?1, ?2, ?3)"
    ))?;
    for (key, value) in settings {
        insert.execute(params![name, key, value])?;
    }
    Ok(())
}

fn write_object(
    transaction: &Transaction<'_>,
    record: &Record,
    value: &impl Serialize,
) -> Result<(), StoreError> {
    let json = serde_json::to_string(value).map_err(database)?;
    let mut statement = transaction.prepare_cached(
        "INSERT INTO objects (kind, name, value) VALUES (?1, ?2, ?3)
         ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value",
    )?;
    statement.execute(params![record.table().as_str(), record.key(), json])?;
    Ok(())
}
