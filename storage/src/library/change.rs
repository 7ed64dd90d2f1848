//! Changing a machine's definition, its name included.

use machine::definition::Definition;

use super::{
    DEFINITION, Library, Listed, Machine, create, document,
    error::{BrokenReason, LibraryError},
    fs, list,
    lock::MachineLock,
};

/// The new definition, until it replaces the old.
pub(super) const TEMPORARY: &str = ".machine.toml.new";

/// Whose the machine is while its definition is changed.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    /// Nobody's: it must be at rest, and anything may be changed.
    Nobody,
    /// The caller's, who doesn't run it: anything may be changed.
    Me(&'a MachineLock),
    /// That of the process that runs it, whoever that is: only the discs in its drives may be changed.
    Whoever,
}

impl Library {
    /// Changes the definition of `machine`, as it was when it was read, by `change`. The file keeps the person's
    /// comments and order. A new name gives the folder another name as well.
    ///
    /// # Errors
    /// [`LibraryError::Definition`] with all problems of the new definition, [`LibraryError::Changed`] if the file isn't
    /// as it was read, [`LibraryError::Running`] or [`LibraryError::OnlyDiscs`] if the machine is running,
    /// [`LibraryError::NameTaken`]; what the host says.
    pub fn update(
        &self,
        machine: &Machine,
        owner: Owner<'_>,
        change: impl FnOnce(&mut Definition),
    ) -> Result<Machine, LibraryError> {
        let mut definition = machine.definition.clone();
        change(&mut definition);
        // What is in the machine's folder moves with it. (Of a running machine nothing but discs may differ.)
        if !matches!(owner, Owner::Whoever) {
            create::own_paths(&mut definition, &machine.folder);
        }
        // The lines would be those of a text that nobody sees.
        Definition::parse(&definition.to_toml()).map_err(|error| LibraryError::Definition(error.without_lines()))?;
        let text = document::rewrite(&machine.text, &machine.definition, &definition);
        self.write(&Listed::Machine(machine.clone()), owner, &text, definition)
    }

    /// Calls `machine` something else.
    ///
    /// # Errors
    /// As [`Library::update`].
    pub fn rename(&self, machine: &Machine, name: machine::name::Name) -> Result<Machine, LibraryError> {
        self.update(machine, Owner::Nobody, |definition| definition.name = name)
    }

    /// Gives `old`, which may be broken, the definition `text`, which a person wrote.
    ///
    /// # Errors
    /// As [`Library::update`].
    pub fn replace_text(&self, old: &Listed, text: &str) -> Result<Machine, LibraryError> {
        let definition = Definition::parse(text).map_err(LibraryError::Definition)?;
        self.write(old, Owner::Nobody, text, definition)
    }

    fn write(
        &self,
        old: &Listed,
        owner: Owner<'_>,
        text: &str,
        definition: Definition,
    ) -> Result<Machine, LibraryError> {
        let folder = old.folder();
        let name = || old.name().to_owned();
        let _guard = self.guard()?;
        let file = folder.join(DEFINITION);
        let present = match list::read_definition(&file) {
            Ok(text) => Some(text),
            Err(BrokenReason::NoDefinition) if folder.is_dir() => None,
            Err(BrokenReason::NoDefinition) => return Err(LibraryError::NotFound { name: name(), suggestion: None }),
            Err(reason) => return Err(LibraryError::Broken { name: name(), reason }),
        };
        if present.as_deref() != old.text() {
            return Err(LibraryError::Changed { name: name() });
        }
        let _lock = match owner {
            Owner::Nobody => Some(MachineLock::take(folder, old.name())?),
            Owner::Me(lock) if lock.folder() == folder => None,
            Owner::Me(_) => return Err(LibraryError::Running { name: name() }),
            Owner::Whoever => {
                let only_discs =
                    matches!(old, Listed::Machine(machine) if only_discs_differ(&machine.definition, &definition));
                if !only_discs {
                    return Err(LibraryError::OnlyDiscs { name: name() });
                }
                None
            }
        };
        self.check_free(Some(&definition.name), Some(definition.uuid), Some(folder))?;
        fs::replace(&file, &folder.join(TEMPORARY), text.as_bytes())?;
        // From here on it has happened. The folder's name is only for people who look into the library.
        let mut machine = Machine { folder: folder.to_owned(), text: text.to_owned(), definition };
        if machine.name() != old.name() {
            match self.settle(folder, machine.name()) {
                Ok(folder) => machine.folder = folder,
                Err(error) => tracing::warn!(%error, "a renamed machine stays in its folder"),
            }
        }
        Ok(machine)
    }
}

/// Whether the definitions are the same but for the discs in the drives.
fn only_discs_differ(old: &Definition, new: &Definition) -> bool {
    let mut old = old.clone();
    if old.cdroms.len() != new.cdroms.len() {
        return false;
    }
    for (old, new) in old.cdroms.iter_mut().zip(&new.cdroms) {
        old.file.clone_from(&new.file);
    }
    old == *new
}
