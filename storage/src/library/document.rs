//! Writing a changed definition into the file that a person keeps: only what changed is touched, so that comments,
//! order and ways of writing stay.

use machine::definition::Definition;
use toml::{Table as Values, Value};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike};

/// `text`, which says `old`, changed so that it says `new`.
pub(super) fn rewrite(text: &str, old: &Definition, new: &Definition) -> String {
    merge(text, old, new).unwrap_or_else(|| {
        // Rather lose a comment than a setting.
        tracing::warn!(name = %new.name, "the definition is written anew, without the comments in it");
        new.to_toml()
    })
}

/// `None` when the file said something else, so that changing it doesn't lead to `new`.
pub(super) fn merge(text: &str, old: &Definition, new: &Definition) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let (old, values) = (Values::try_from(old).ok()?, Values::try_from(new).ok()?);
    merge_table(document.as_table_mut(), &old, &values);
    // The tables' order in the file is the person's, unless it contradicts the new one.
    let mut in_tree_order = document.clone();
    place_new(document.as_table_mut(), &mut 0);
    place_all(in_tree_order.as_table_mut(), &mut 0);
    let results = [document.to_string(), in_tree_order.to_string()];
    results.into_iter().find(|result| Definition::parse(result).is_ok_and(|definition| definition == *new))
}

/// Changes in `table` what differs between `old` and `new`.
fn merge_table(table: &mut dyn TableLike, old: &Values, new: &Values) {
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        table.remove(key);
    }
    for (key, value) in new {
        let before = old.get(key);
        if before == Some(value) {
            continue;
        }
        match table.get_mut(key) {
            Some(item) => merge_item(item, before, value),
            None => {
                table.insert(key, item(value));
            }
        }
    }
}

fn merge_item(place: &mut Item, old: Option<&Value>, new: &Value) {
    match (old, new) {
        (Some(Value::Table(old)), Value::Table(new)) => {
            if let Some(table) = place.as_table_like_mut() {
                return merge_table(table, old, new);
            }
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            if let Some(tables) = place.as_array_of_tables_mut() {
                return merge_tables(tables, old, new);
            }
        }
        _ => {}
    }
    if let Some(value) = place.as_value_mut() {
        // What stands around it stays: blanks before, a comment after.
        let decor = value.decor().clone();
        if let Item::Value(mut fresh) = inline(new) {
            *fresh.decor_mut() = decor;
            *value = fresh;
        }
    } else {
        *place = item(new);
    }
}

/// Lists of tables (`[[disks]]`): each is known by its id or UUID, wherever it moves.
fn merge_tables(tables: &mut ArrayOfTables, old: &[Value], new: &[Value]) {
    let mut merged = ArrayOfTables::new();
    for value in new {
        let Value::Table(fields) = value else { continue };
        let before = old.iter().position(|old| identity(old).is_some() && identity(old) == identity(value));
        let kept = before.and_then(|index| Some((tables.get(index)?.clone(), old.get(index)?.as_table()?)));
        merged.push(match kept {
            Some((mut table, old)) => {
                merge_table(&mut table, old, fields);
                table
            }
            None => table_of(fields),
        });
    }
    *tables = merged;
}

fn identity(value: &Value) -> Option<&Value> {
    value.get("id").or_else(|| value.get("uuid"))
}

fn item(value: &Value) -> Item {
    match value {
        Value::Table(fields) => Item::Table(table_of(fields)),
        Value::Array(values) if !values.is_empty() && values.iter().all(Value::is_table) => {
            Item::ArrayOfTables(values.iter().filter_map(Value::as_table).map(table_of).collect())
        }
        _ => inline(value),
    }
}

fn table_of(fields: &Values) -> Table {
    fields.iter().map(|(key, value)| (key.as_str(), item(value))).collect()
}

/// A value on one line.
fn inline(value: &Value) -> Item {
    fn value_of(value: &Value) -> toml_edit::Value {
        match value {
            Value::String(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Boolean(value) => (*value).into(),
            Value::Datetime(moment) => (*moment).into(),
            Value::Array(values) => values.iter().map(value_of).collect::<Array>().into(),
            Value::Table(fields) => {
                fields.iter().map(|(key, value)| (key.as_str(), value_of(value))).collect::<InlineTable>().into()
            }
        }
    }
    Item::Value(value_of(value))
}

/// Room for new tables between two of the file.
const SPACE: isize = 1 << 20;

/// Tables are written in the order of their positions, and new ones have none: puts each behind the one before it in the
/// tree.
fn place_new(table: &mut Table, last: &mut isize) {
    each_table(table, &mut |table| {
        let position = table.position().map_or(*last + 1, |position| position * SPACE);
        table.set_position(position);
        *last = position;
        place_new(table, last);
    });
}

/// Puts all tables into the order of the tree.
fn place_all(table: &mut Table, last: &mut isize) {
    each_table(table, &mut |table| {
        *last += 1;
        table.set_position(*last);
        place_all(table, last);
    });
}

fn each_table(table: &mut Table, place: &mut dyn FnMut(&mut Table)) {
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => place(table),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(&mut *place),
            _ => {}
        }
    }
}
