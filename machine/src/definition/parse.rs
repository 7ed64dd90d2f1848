//! From the text of a `machine.toml` to a definition, with the line of everything that is wrong.

use std::{collections::BTreeMap, ops::Range, str::FromStr};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use uuid::Uuid;

use super::{
    Bus, CdDrive, Definition, DefinitionError, Disk, Engine, FilePath, Firmware, Image, ImageFormat, Kernel, Problem,
    Serial, VERSION, defaults,
};
use crate::{name::Name, size::Size, suggest, timestamp::Timestamp};

impl Definition {
    /// Reads a `machine.toml`, and [validates](Definition::validate) it.
    ///
    /// # Errors
    /// Everything that is wrong, with its line.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let mut reader = Reader::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            for error in errors {
                let line = reader.line(error.span().unwrap_or_default());
                reader.problem_at(line, "", format!("this is not TOML: {}", error.message()));
            }
            return Err(DefinitionError::new(reader.problems));
        }
        let mut document = Table::new(String::new(), 1, document.into_inner(), &mut reader);
        if !read_version(&mut document, &mut reader) {
            return Err(DefinitionError::new(reader.problems));
        }
        let definition = read_definition(document, &mut reader);
        // What couldn't be understood was replaced by something harmless; no complaint about what depends on it.
        let drives_are_known =
            !reader.problems.iter().any(|p| p.key.starts_with("disks") || p.key.starts_with("cdroms"));
        for mut problem in definition.iter().flat_map(Definition::validate) {
            if reader.has_problem(&problem.key) || (problem.key.starts_with("boot") && !drives_are_known) {
                continue;
            }
            problem.line = reader.line_of(&problem.key);
            reader.problems.push(problem);
        }
        match definition {
            Some(definition) if reader.problems.is_empty() => Ok(definition),
            _ => Err(DefinitionError::new(reader.problems)),
        }
    }
}

/// Whether the rest can be read by this version.
fn read_version(document: &mut Table<'_>, reader: &mut Reader<'_>) -> bool {
    let Some((value, line)) = document.take("version") else {
        reader.problem_at(Some(1), "version", format!("the key 'version' is missing. Write: version = {VERSION}"));
        return false;
    };
    let problem = match integer(&value) {
        Some(version) if version == i128::from(VERSION) => return true,
        Some(version) if version > i128::from(VERSION) => {
            format!("version = {version} was written by a newer program; this one reads up to {VERSION}")
        }
        _ => format!("version = {} is not a version. Write: version = {VERSION}", shown(&value)),
    };
    reader.problem_at(Some(line), "version", problem);
    false
}

/// `None` only after a problem was noted.
fn read_definition<'t>(mut table: Table<'t>, reader: &mut Reader<'t>) -> Option<Definition> {
    let uuid = reader.required(&mut table, "uuid", Reader::parsed::<Uuid>);
    let name = reader.required(&mut table, "name", Reader::parsed::<Name>);
    let created = reader.optional(&mut table, "created", Reader::moment);
    let notes = reader.optional(&mut table, "notes", Reader::text);
    let os = reader.optional(&mut table, "os", Reader::text);
    let engine = reader.optional(&mut table, "engine", |reader, field| {
        // Reserved: a definition from a program with that engine is not nonsense.
        if matches!(&field.value, DeValue::String(text) if text == "para") {
            return reader.reject(&field, "can't be started by this version: it has only the engine 'full'");
        }
        reader.choice(field, Engine::NAMES, Engine::from_name)
    });
    let firmware = reader
        .optional(&mut table, "firmware", |reader, field| reader.choice(field, Firmware::NAMES, Firmware::from_name));
    let cpus = reader.optional(&mut table, "cpus", Reader::number);
    let memory = reader.optional(&mut table, "memory", Reader::size);
    let boot = reader.optional(&mut table, "boot", |reader, field| reader.list(field, Reader::text));
    let kernel = reader.optional(&mut table, "kernel", |reader, field| reader.table(field, read_kernel));
    let serial = reader.optional(&mut table, "serial", |reader, field| reader.table(field, read_serial));
    let disks = reader.optional(&mut table, "disks", |reader, field| {
        reader.list(field, |reader, field| reader.table(field, read_disk))
    });
    let cdroms = reader.optional(&mut table, "cdroms", |reader, field| {
        reader.list(field, |reader, field| reader.table(field, read_cdrom))
    });
    reader.nothing_left(table);
    Some(Definition {
        version: VERSION,
        created,
        notes: notes.unwrap_or_default(),
        os,
        engine: engine.unwrap_or(defaults::ENGINE),
        firmware: firmware.unwrap_or(defaults::FIRMWARE),
        cpus: cpus.unwrap_or(defaults::CPUS),
        memory: memory.unwrap_or(defaults::MEMORY),
        boot: boot.unwrap_or_default(),
        kernel,
        serial,
        disks: disks.unwrap_or_default(),
        cdroms: cdroms.unwrap_or_default(),
        // Something harmless, so that what else is wrong is found as well.
        uuid: uuid.unwrap_or(Uuid::max()),
        name: name.or_else(|| Name::new("?").ok())?,
    })
}

fn read_kernel<'t>(mut table: Table<'t>, reader: &mut Reader<'t>) -> Option<Kernel> {
    let file = reader.required(&mut table, "file", Reader::path);
    let initrd = reader.optional(&mut table, "initrd", Reader::path);
    let cmdline = reader.optional(&mut table, "cmdline", Reader::text);
    reader.nothing_left(table);
    Some(Kernel { file: file?, initrd, cmdline: cmdline.unwrap_or_default() })
}

fn read_serial<'t>(mut table: Table<'t>, reader: &mut Reader<'t>) -> Option<Serial> {
    let file = reader.required(&mut table, "file", Reader::path);
    reader.nothing_left(table);
    Some(Serial { file: file? })
}

fn read_disk<'t>(mut table: Table<'t>, reader: &mut Reader<'t>) -> Option<Disk> {
    let id = reader.required(&mut table, "id", Reader::text);
    let bus = reader.optional(&mut table, "bus", |reader, field| reader.choice(field, Bus::NAMES, Bus::from_name));
    let serial = reader.optional(&mut table, "serial", Reader::text);
    let throw_away_writes = reader.optional(&mut table, "throw_away_writes", Reader::boolean);
    let images = reader.required(&mut table, "images", |reader, field| {
        reader.list(field, |reader, field| reader.table(field, read_image))
    });
    reader.nothing_left(table);
    Some(Disk {
        id: id?,
        bus: bus.unwrap_or(defaults::BUS),
        serial,
        throw_away_writes: throw_away_writes.unwrap_or_default(),
        images: images?,
    })
}

fn read_image<'t>(mut table: Table<'t>, reader: &mut Reader<'t>) -> Option<Image> {
    let uuid = reader.required(&mut table, "uuid", Reader::parsed::<Uuid>);
    let file = reader.required(&mut table, "file", Reader::path);
    let format = reader.required(&mut table, "format", |reader, field| {
        reader.choice(field, ImageFormat::NAMES, ImageFormat::from_name)
    });
    let read_only = reader.optional(&mut table, "read_only", Reader::boolean);
    reader.nothing_left(table);
    Some(Image { uuid: uuid?, file: file?, format: format?, read_only: read_only.unwrap_or_default() })
}

fn read_cdrom<'t>(mut table: Table<'t>, reader: &mut Reader<'t>) -> Option<CdDrive> {
    let id = reader.required(&mut table, "id", Reader::text);
    let file = reader.optional(&mut table, "file", Reader::path);
    reader.nothing_left(table);
    Some(CdDrive { id: id?, file })
}

/// A table that is being read: what was taken out is understood, what stays is unknown.
struct Table<'t> {
    /// Its key, empty for the file as a whole.
    key: String,
    line: usize,
    entries: Vec<(String, usize, DeValue<'t>)>,
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    fn new(key: String, line: usize, table: DeTable<'t>, reader: &mut Reader<'_>) -> Self {
        let entries = table
            .into_iter()
            .map(|(name, value)| {
                let line = reader.line(name.span()).unwrap_or(line);
                let name = name.into_inner().into_owned();
                reader.lines.insert(join(&key, &name), line);
                (name, line, value.into_inner())
            })
            .collect();
        Table { key, line, entries, known: Vec::new() }
    }

    fn take(&mut self, name: &'static str) -> Option<(DeValue<'t>, usize)> {
        self.known.push(name);
        let index = self.entries.iter().position(|(entry, ..)| entry == name)?;
        let (_, line, value) = self.entries.swap_remove(index);
        Some((value, line))
    }
}

/// A value that is being read.
struct Field<'t> {
    key: String,
    line: usize,
    value: DeValue<'t>,
}

/// Reads values, and collects what is wrong. Where a method gives `None`, a problem was noted.
struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
    /// Where each key stands.
    lines: BTreeMap<String, usize>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Reader { text, problems: Vec::new(), lines: BTreeMap::new() }
    }

    fn line(&self, span: Range<usize>) -> Option<usize> {
        let before = self.text.as_bytes().get(..span.start)?;
        Some(before.iter().filter(|byte| **byte == b'\n').count() + 1)
    }

    /// The line of `key`, or of the nearest table around it.
    fn line_of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return Some(*line);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    fn problem_at(&mut self, line: Option<usize>, key: &str, message: String) {
        self.problems.push(Problem { line, key: key.to_owned(), message });
    }

    fn has_problem(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key == key)
    }

    /// Notes that the value `what`.
    fn reject<T>(&mut self, field: &Field<'_>, what: &str) -> Option<T> {
        let message = format!("{} = {} {what}", field.key, shown(&field.value));
        self.problem_at(Some(field.line), &field.key, message);
        None
    }

    fn optional<T>(
        &mut self,
        table: &mut Table<'t>,
        name: &'static str,
        read: impl FnOnce(&mut Self, Field<'t>) -> Option<T>,
    ) -> Option<T> {
        let (value, line) = table.take(name)?;
        read(self, Field { key: join(&table.key, name), line, value })
    }

    fn required<T>(
        &mut self,
        table: &mut Table<'t>,
        name: &'static str,
        read: impl FnOnce(&mut Self, Field<'t>) -> Option<T>,
    ) -> Option<T> {
        if !table.entries.iter().any(|(entry, ..)| entry == name) {
            let place = if table.key.is_empty() { String::new() } else { format!("{}: ", table.key) };
            let message = format!("{place}the key '{name}' is missing");
            self.problem_at(Some(table.line), &join(&table.key, name), message);
        }
        self.optional(table, name, read)
    }

    /// Whatever wasn't taken is unknown.
    fn nothing_left(&mut self, table: Table<'t>) {
        let place = if table.key.is_empty() { String::new() } else { format!("{}: ", table.key) };
        for (name, line, _) in &table.entries {
            let hint = match suggest::nearest(name, table.known.iter().copied()) {
                Some(known) => format!("Did you mean '{known}'?"),
                None => format!("What can stand here: {}", table.known.join(", ")),
            };
            self.problem_at(Some(*line), &join(&table.key, name), format!("{place}unknown key '{name}'. {hint}"));
        }
    }

    fn text(&mut self, field: Field<'t>) -> Option<String> {
        match field.value {
            DeValue::String(text) => Some(text.into_owned()),
            _ => self.reject(&field, "is not a text. Write it in quotes"),
        }
    }

    fn boolean(&mut self, field: Field<'t>) -> Option<bool> {
        match field.value {
            DeValue::Boolean(value) => Some(value),
            _ => self.reject(&field, "is neither true nor false. Write one of these, without quotes"),
        }
    }

    fn number(&mut self, field: Field<'t>) -> Option<u32> {
        match integer(&field.value) {
            Some(number) => match u32::try_from(number) {
                Ok(number) => Some(number),
                // So that it is said by whoever knows the range.
                Err(_) if number > 0 => Some(u32::MAX),
                Err(_) => self.reject(&field, "is below zero"),
            },
            None => self.reject(&field, "is not a whole number. Write it without quotes"),
        }
    }

    /// A text that a type understands.
    fn parsed<T: FromStr>(&mut self, field: Field<'t>) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let DeValue::String(text) = &field.value else {
            return self.reject(&field, "is not a text. Write it in quotes");
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => self.reject(&field, &format!("can't be: {error}")),
        }
    }

    fn path(&mut self, field: Field<'t>) -> Option<FilePath> {
        let DeValue::String(text) = &field.value else {
            return self.reject(&field, "is not a path. Write it in quotes");
        };
        match FilePath::new(text.as_ref()) {
            Ok(path) => Some(path),
            Err(error) => self.reject(&field, &format!("can't be: {error}")),
        }
    }

    fn moment(&mut self, field: Field<'t>) -> Option<Timestamp> {
        let text = match &field.value {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(moment) => moment.to_string(),
            _ => return self.reject(&field, "is not a date and time in UTC, such as 2026-11-22T16:55:44Z"),
        };
        match text.parse() {
            Ok(moment) => Some(moment),
            Err(error) => self.with_reason(&field, &error),
        }
    }

    fn size(&mut self, field: Field<'t>) -> Option<Size> {
        let text = match &field.value {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(bytes) if bytes.radix() == 10 => bytes.as_str().to_owned(),
            _ => return self.reject(&field, "is not a size, such as \"2 GiB\""),
        };
        match text.parse() {
            Ok(size) => Some(size),
            Err(error) => self.with_reason(&field, &error),
        }
    }

    /// Notes a reason that begins with the value.
    fn with_reason<T>(&mut self, field: &Field<'_>, reason: &dyn std::fmt::Display) -> Option<T> {
        self.problem_at(Some(field.line), &field.key, format!("{} = {reason}", field.key));
        None
    }

    fn choice<T>(&mut self, field: Field<'t>, names: &[&str], from_name: fn(&str) -> Option<T>) -> Option<T> {
        let found = match &field.value {
            DeValue::String(text) => from_name(text),
            _ => None,
        };
        found.or_else(|| self.reject(&field, &format!("is not known. It can be: {}", names.join(", "))))
    }

    fn table<T>(&mut self, field: Field<'t>, read: fn(Table<'t>, &mut Self) -> Option<T>) -> Option<T> {
        match field.value {
            DeValue::Table(entries) => {
                let table = Table::new(field.key, field.line, entries, self);
                read(table, self)
            }
            _ => self.reject(&field, "is not a table"),
        }
    }

    /// Reads every element, so that all problems are found; `None` if one had any.
    fn list<T>(&mut self, field: Field<'t>, read: impl Fn(&mut Self, Field<'t>) -> Option<T>) -> Option<Vec<T>> {
        let DeValue::Array(array) = field.value else {
            return self.reject(&field, "is not a list");
        };
        let mut complete = true;
        let mut values = Vec::new();
        for (index, value) in array.into_iter().enumerate() {
            let line = self.line(value.span()).unwrap_or(field.line);
            let key = format!("{}[{index}]", field.key);
            self.lines.insert(key.clone(), line);
            match read(self, Field { key, line, value: Spanned::into_inner(value) }) {
                Some(value) => values.push(value),
                None => complete = false,
            }
        }
        complete.then_some(values)
    }
}

fn join(table: &str, name: &str) -> String {
    if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
}

fn integer(value: &DeValue<'_>) -> Option<i128> {
    match value {
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
}

/// A value as it is shown in a problem, on one line.
fn shown(value: &DeValue<'_>) -> String {
    const MOST: usize = 60;
    match value {
        DeValue::String(text) => {
            let mut short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
            if text.chars().nth(MOST).is_some() {
                short.push('…');
            }
            format!("'{short}'")
        }
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(_) => "[…]".to_owned(),
        DeValue::Table(_) => "{…}".to_owned(),
    }
}
