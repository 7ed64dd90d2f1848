//! What a system needs of a computer.

use crate::{Database, ResourceSet, System};

/// An amount of each; what isn't said is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Needs {
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Disk, in bytes.
    pub storage_bytes: Option<u64>,
    /// Processors.
    pub cpus: Option<u32>,
    /// A processor's clock rate, in Hz.
    pub cpu_hz: Option<u64>,
}

/// What a system needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Resources {
    /// With less it doesn't run.
    pub minimum: Needs,
    /// With this it runs well.
    pub recommended: Needs,
    /// More is of no use.
    pub maximum: Needs,
}

impl Needs {
    /// These, and what they leave out from `other`.
    #[must_use]
    pub fn or(self, other: Needs) -> Self {
        Needs {
            memory_bytes: self.memory_bytes.or(other.memory_bytes),
            storage_bytes: self.storage_bytes.or(other.storage_bytes),
            cpus: self.cpus.or(other.cpus),
            cpu_hz: self.cpu_hz.or(other.cpu_hz),
        }
    }

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Needs) -> Self {
        Needs {
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            storage_bytes: self.storage_bytes.max(other.storage_bytes),
            cpus: self.cpus.max(other.cpus),
            cpu_hz: self.cpu_hz.max(other.cpu_hz),
        }
    }
}

impl Resources {
    fn or(self, other: Resources) -> Self {
        Resources {
            minimum: self.minimum.or(other.minimum),
            recommended: self.recommended.or(other.recommended),
            maximum: self.maximum.or(other.maximum),
        }
    }
}

impl From<&ResourceSet> for Resources {
    fn from(set: &ResourceSet) -> Self {
        Resources { minimum: set.minimum, recommended: set.recommended, maximum: set.maximum }
    }
}

impl Database {
    /// What a system needs on a kind of processor. What is said for that processor comes first, then what is said for all,
    /// then, where the database asks for that or says nothing of the system, what is said of those that it derives from.
    #[must_use]
    pub fn resources(&self, system: &System, arch: &str) -> Resources {
        let mut found = Resources::default();
        for ancestor in self.lineage(system) {
            let sets = |arch: &'static str| ancestor.resources.iter().filter(move |set| set.arch == arch);
            let own = ancestor.resources.iter().filter(|set| set.arch == arch && arch != "all");
            let mut inherit = true;
            for set in own.chain(sets("all")) {
                inherit = set.inherit;
                found = found.or(set.into());
            }
            if !inherit {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(arch: &str, inherit: bool, minimum: u64, recommended: Option<u64>) -> ResourceSet {
        let needs = |memory_bytes| Needs { memory_bytes, ..Needs::default() };
        ResourceSet {
            arch: arch.into(),
            inherit,
            minimum: needs(Some(minimum)),
            recommended: needs(recommended),
            maximum: Needs::default(),
        }
    }

    fn system(id: &str, parent: &str, resources: Vec<ResourceSet>) -> System {
        System { id: id.into(), derives_from: vec![parent.into()], resources, ..System::default() }
    }

    #[test]
    fn the_processors_own_needs_come_before_those_of_all_and_of_ancestors() {
        let database = Database::of([
            system("1", "", vec![set("all", false, 1, Some(10)), set("i686", false, 3, None)]),
            system("2", "1", vec![set("x86_64", true, 2, None)]),
            system("3", "2", vec![]),
            system("4", "1", vec![set("all", false, 4, None)]),
        ]);
        let memory = |id: &str, arch: &str| {
            let resources = database.resources(database.find(id).unwrap(), arch);
            (resources.minimum.memory_bytes, resources.recommended.memory_bytes)
        };
        assert_eq!(memory("1", "i686"), (Some(3), Some(10)));
        assert_eq!(memory("1", "x86_64"), (Some(1), Some(10)));
        assert_eq!(memory("2", "x86_64"), (Some(2), Some(10)));
        assert_eq!(memory("3", "x86_64"), (Some(2), Some(10)));
        assert_eq!(memory("4", "x86_64"), (Some(4), None));
    }
}
