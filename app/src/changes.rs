//! Changes of what a machine is made of, as a person asks for them: what the settings page and `tandem edit` have in common.
//!
//! They are a transaction: all of them are made, or none is and no new image is left.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use machine::{
    definition::{Definition, Disk, FilePath, Kernel, Serial},
    size::Size,
};
use storage::library::{Library, Machine, Owner};

use crate::{
    order::{self, DiskOrder},
    serial_file::{self, Kept},
};

/// What is to be changed; the rest stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) memory: Option<Size>,
    pub(crate) cpus: Option<u32>,
    /// Ids of disks to be taken out. Their images stay where they are.
    pub(crate) remove_disks: Vec<String>,
    pub(crate) add_disks: Vec<DiskOrder>,
    /// Whether what is written to the disk of that id is thrown away when the machine is off.
    pub(crate) throw_away: Vec<(String, bool)>,
    /// What is in the CD drive of that id.
    pub(crate) discs: Vec<(String, Option<PathBuf>)>,
    /// Ids of the drives to boot from, from the first that can.
    pub(crate) boot: Option<Vec<String>>,
    /// No kernel is started directly.
    pub(crate) no_kernel: bool,
    pub(crate) kernel: Option<PathBuf>,
    pub(crate) initrd: Option<Option<PathBuf>>,
    pub(crate) cmdline: Option<String>,
    pub(crate) serial: Option<Option<PathBuf>>,
    pub(crate) notes: Option<String>,
}

impl Changes {
    /// Makes the changes to the machine of that name. Gives the machine as it is now.
    ///
    /// # Errors
    /// What a person reads; nothing was changed then.
    pub(crate) fn apply(self, library: &Library, name: &str) -> Result<Machine> {
        // Locked while disks are made in its folder.
        let (machine, lock) = library.lock(name)?;
        let mut definition = machine.definition().clone();
        let mut made = Made::default();
        self.change(&mut definition, library, &machine, &mut made)?;
        let changed = library.update(&machine, Owner::Me(&lock), |old| *old = definition)?;
        made.keep();
        Ok(changed)
    }

    fn change(self, definition: &mut Definition, library: &Library, machine: &Machine, made: &mut Made) -> Result<()> {
        let missing = |kind: &str, id: &str| format!("'{}' has no {kind} '{id}'", machine.name());
        definition.memory = self.memory.unwrap_or(definition.memory);
        definition.cpus = self.cpus.unwrap_or(definition.cpus);
        for id in &self.remove_disks {
            let position = definition.disks.iter().position(|disk| disk.id == *id);
            definition.disks.remove(position.with_context(|| missing("disk", id))?);
            definition.boot.retain(|boot| boot != id);
        }
        for (id, throw_away) in self.throw_away {
            let disk = definition.disks.iter_mut().find(|disk| disk.id == id);
            disk.with_context(|| missing("disk", &id))?.throw_away_writes = throw_away;
        }
        for order in self.add_disks {
            let disk = order.make(definition, &machine.disks_dir())?;
            made.note(&disk, &machine.disks_dir());
            definition.disks.push(disk);
        }
        for (id, disc) in self.discs {
            let file = disc.as_deref().map(order::disc_path).transpose()?;
            let drive = definition.cdroms.iter_mut().find(|drive| drive.id == id);
            drive.with_context(|| missing("CD drive", &id))?.file = file;
        }
        if let Some(boot) = self.boot {
            definition.boot = boot;
        }
        if self.no_kernel {
            definition.kernel = None;
        }
        if let Some(kernel) = self.kernel {
            let file = order::kernel_path(&kernel)?;
            let (initrd, cmdline) =
                definition.kernel.take().map(|kernel| (kernel.initrd, kernel.cmdline)).unwrap_or_default();
            definition.kernel = Some(Kernel { file, initrd, cmdline });
        }
        if self.initrd.is_some() || self.cmdline.is_some() {
            let Some(kernel) = &mut definition.kernel else {
                bail!("the machine starts no kernel directly: give one with --kernel");
            };
            if let Some(initrd) = self.initrd {
                kernel.initrd = initrd.as_deref().map(order::initrd_path).transpose()?;
            }
            kernel.cmdline = self.cmdline.unwrap_or(std::mem::take(&mut kernel.cmdline));
        }
        match self.serial {
            None => {}
            Some(None) => definition.serial = None,
            Some(Some(path)) => {
                let mut kept = Kept::of_library(library)?;
                // The definition's other files begin in the machine's folder.
                kept.add(definition, machine.folder());
                serial_file::check(&path, &kept)?;
                definition.serial = Some(Serial { file: FilePath::new(&path)? });
            }
        }
        if let Some(notes) = self.notes {
            definition.notes = notes;
        }
        Ok(())
    }
}

/// Disk images that were made for a change; removed again unless the change is kept.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    fn note(&mut self, disk: &Disk, folder: &Path) {
        let paths = disk.images.iter().map(|image| PathBuf::from(image.file.as_str()));
        self.0.extend(paths.filter(|path| path.starts_with(folder)));
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
