//! What a machine should have: what its system needs, within what this computer has.

use machine::{
    definition::{defaults, limits},
    size::Size,
};
use osinfo::{Database, Needs, Resources};

use super::{Advice, Advised, Host, Kind, Os, systems, systems::Systems};

/// A new disk, where nothing else is known.
const DISK: Size = Size::gib(25);
/// A system that is older was made for computers with less than we give by default, and may not bear it.
const MODERN: u16 = 2010;
/// What 32-bit systems can use without tricks.
const MEMORY_OF_32_BITS: Size = Size::gib(3);

/// For a file.
pub(super) fn of(
    kind: &Kind,
    (name, why): (String, &str),
    systems: &Systems,
    database: &Database,
    host: Host,
) -> Advice {
    let mut resources = systems.os.as_ref().map(|os| resources(os, database)).unwrap_or_default();
    // It must be enough for whichever it is.
    for other in &systems.alternatives {
        resources.minimum = resources.minimum.max(self::resources(other, database).minimum);
    }
    let wants_disk = matches!(kind, Kind::Iso(_));
    Wanted { os: systems.os.as_ref(), resources }.advice(Advised::new(name, why), wants_disk, host)
}

/// For a system that was chosen, or for none.
pub(super) fn without_file(os: Option<&Os>, database: &Database, host: Host) -> Advice {
    let resources = os.map(|os| resources(os, database)).unwrap_or_default();
    let (name, why) = systems::name_of_chosen(os);
    Wanted { os, resources }.advice(Advised::new(name, why), true, host)
}

/// What a system needs.
pub(super) fn resources(os: &Os, database: &Database) -> Resources {
    let id = os.stand_in.as_ref().map_or(&os.id, |stand_in| &stand_in.id);
    let arch = os.arch.as_deref().unwrap_or("x86_64");
    database.find(id).map(|system| database.resources(system, arch)).unwrap_or_default()
}

/// A system with what it needs.
struct Wanted<'a> {
    os: Option<&'a Os>,
    resources: Resources,
}

impl Wanted<'_> {
    fn advice(&self, name: Advised<String>, wants_disk: bool, host: Host) -> Advice {
        Advice { name, memory: self.memory(host), cpus: self.cpus(host), disk: wants_disk.then(|| self.disk()) }
    }

    fn name(&self) -> &str {
        self.os.map_or("", |os| &os.name)
    }

    fn is_modern(&self) -> bool {
        self.os.is_none_or(|os| os.released.is_none_or(|date| date.year() >= MODERN))
    }

    /// An amount for the system, of which there is a usual one, and why.
    fn amount(&self, need: impl Fn(Needs) -> Option<u64>, usual: Size, for_most: &str) -> (Size, String) {
        let name = self.name();
        let amount = |needs: Needs| need(needs).map(Size::bytes);
        let (minimum, recommended) = (amount(self.resources.minimum), amount(self.resources.recommended));
        let (value, why) = match (recommended.max(minimum), recommended) {
            (Some(enough), Some(_)) if self.is_modern() && enough < usual => {
                (usual, format!("{name} recommends {}; with {} it has room", plain(enough), plain(usual)))
            }
            (Some(enough), Some(_)) => (enough, format!("{name} recommends {}", plain(enough))),
            (Some(least), None) if self.is_modern() => {
                (least.max(usual), format!("{name} needs at least {}", plain(least)))
            }
            (Some(least), None) => {
                (Size::bytes(least.as_bytes().saturating_mul(2)), format!("{name} needs at least {}", plain(least)))
            }
            (None, _) => (usual, for_most.to_owned()),
        };
        match amount(self.resources.maximum) {
            Some(most) if most < value => (most, format!("{name} can use at most {}", plain(most))),
            _ => (value, why),
        }
    }

    fn memory(&self, host: Host) -> Advised<Size> {
        let (mut value, mut why) = self.amount(|needs| needs.memory_bytes, defaults::MEMORY, "enough for most systems");
        if self.os.is_some_and(|os| os.arch.as_deref() == Some("i686")) && value > MEMORY_OF_32_BITS {
            value = MEMORY_OF_32_BITS;
            why = format!("a 32-bit system can't use more than {}", plain(value));
        }
        let half = Size::bytes(host.memory.as_bytes() / 2);
        if value > half {
            let least = self.resources.minimum.memory_bytes.map(Size::bytes);
            (value, why) = match least.filter(|least| *least > half && *least <= host.memory) {
                Some(least) => (
                    least,
                    format!(
                        "{} needs {}, more than half of this computer's {}",
                        self.name(),
                        plain(least),
                        plain(host.memory)
                    ),
                ),
                None => (half, format!("half of this computer's {}; {why}", plain(host.memory))),
            };
        }
        Advised::new(in_steps(value), why)
    }

    fn cpus(&self, host: Host) -> Advised<u32> {
        let asked = self.resources.recommended.cpus.max(self.resources.minimum.cpus);
        let usual = if self.is_modern() { defaults::CPUS } else { 1 };
        let (value, why) = match asked {
            Some(asked) if asked >= usual => (asked, format!("{} asks for {asked}", self.name())),
            _ if usual == 1 => (1, format!("{} was made for one", self.name())),
            _ => (usual, "enough for most systems".to_owned()),
        };
        if value > host.cpus {
            return Advised::new(host.cpus.max(1), format!("all that this computer has; {why}"));
        }
        Advised::new(value.min(*limits::CPUS.end()), why)
    }

    fn disk(&self) -> Advised<Size> {
        let (value, why) = self.amount(|needs| needs.storage_bytes, DISK, "enough for most systems");
        Advised::new(in_steps(value), format!("{why}; it takes space only as it fills"))
    }
}

/// In whole steps of a machine's memory, at least and at most what a machine can have.
fn in_steps(size: Size) -> Size {
    let step = limits::MEMORY_STEP.as_bytes();
    let (least, most) = limits::MEMORY.into_inner();
    let whole = size.as_bytes().checked_next_multiple_of(step).unwrap_or(u64::MAX / step * step);
    Size::bytes(whole).clamp(least, most)
}

/// As people say it: `2 GB`, `1.5 GB`, `768 MB`.
pub(super) fn plain(size: Size) -> String {
    let bytes = size.as_bytes();
    let (unit, name) = if bytes >= 1 << 40 {
        (1 << 40, "TB")
    } else if bytes >= 1 << 30 {
        (1 << 30, "GB")
    } else {
        (1 << 20, "MB")
    };
    // To the nearest tenth.
    let tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        rest => format!("{}.{rest} {name}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(released: Option<&str>, arch: &str) -> Os {
        Os {
            id: "x".into(),
            short_id: "x".into(),
            name: "Mint".into(),
            version: None,
            family: None,
            arch: Some(arch.into()),
            live: false,
            installer: true,
            released: released.map(|day| day.parse().unwrap()),
            end_of_life: None,
            stand_in: None,
        }
    }

    fn needs(memory: u64, storage: u64, cpus: u32) -> Needs {
        let some = |size: Size| Some(size.as_bytes()).filter(|bytes| *bytes > 0);
        Needs {
            memory_bytes: some(Size::mib(memory)),
            storage_bytes: some(Size::gib(storage)),
            cpus: Some(cpus).filter(|cpus| *cpus > 0),
            cpu_hz: None,
        }
    }

    const HOST: Host = Host { memory: Size::gib(24), cpus: 4 };

    fn advice(os: Option<&Os>, minimum: Needs, recommended: Needs, host: Host) -> Advice {
        let resources = Resources { minimum, recommended, ..Resources::default() };
        Wanted { os, resources }.advice(Advised::new("n".into(), ""), true, host)
    }

    #[test]
    fn what_a_system_recommends_is_taken_and_said() {
        let mint = os(Some("2023-01-01"), "x86_64");
        let advice = advice(Some(&mint), needs(1024, 10, 1), needs(4096, 40, 0), HOST);
        assert_eq!((advice.memory.value, advice.memory.why.as_str()), (Size::gib(4), "Mint recommends 4 GB"));
        assert_eq!(advice.disk.unwrap().value, Size::gib(40));
        assert_eq!((advice.cpus.value, advice.cpus.why.as_str()), (2, "enough for most systems"));
    }

    #[test]
    fn a_system_of_today_gets_room_and_an_old_one_what_it_can_bear() {
        let (new, old) = (os(None, "x86_64"), os(Some("1998-06-25"), "i686"));
        let modest = advice(Some(&new), needs(512, 0, 0), needs(1024, 0, 0), HOST);
        assert_eq!(modest.memory.value, Size::gib(2));
        assert_eq!(modest.memory.why, "Mint recommends 1 GB; with 2 GB it has room");
        let large = advice(Some(&new), needs(4096, 64, 4), Needs::default(), HOST);
        assert_eq!((large.memory.value, large.memory.why.as_str()), (Size::gib(4), "Mint needs at least 4 GB"));
        assert_eq!((large.cpus.value, large.disk.unwrap().value), (4, Size::gib(64)));
        let small = advice(Some(&old), needs(16, 1, 1), Needs::default(), HOST);
        assert_eq!((small.memory.value, small.cpus.value, small.disk.unwrap().value), (Size::mib(32), 1, Size::gib(2)));
    }

    #[test]
    fn a_machine_gets_at_most_half_of_this_computers_memory_unless_it_needs_more() {
        let mint = os(None, "x86_64");
        let host = Host { memory: Size::gib(6), cpus: 1 };
        let half = advice(Some(&mint), needs(1024, 0, 0), needs(4096, 0, 4), host);
        assert_eq!((half.memory.value, half.cpus.value), (Size::gib(3), 1));
        assert_eq!(half.memory.why, "half of this computer's 6 GB; Mint recommends 4 GB");
        assert_eq!(half.cpus.why, "all that this computer has; Mint asks for 4");
        let more = advice(Some(&mint), needs(4096, 0, 0), needs(8192, 0, 0), host);
        assert_eq!(more.memory.value, Size::gib(4));
        assert_eq!(more.memory.why, "Mint needs 4 GB, more than half of this computer's 6 GB");
        let too_much = advice(Some(&mint), needs(16384, 0, 0), needs(0, 0, 0), host);
        assert_eq!(too_much.memory.value, Size::gib(3));
    }

    #[test]
    fn without_a_system_a_machine_is_of_the_usual_size() {
        let usual = advice(None, Needs::default(), Needs::default(), HOST);
        assert_eq!((usual.memory.value, usual.cpus.value), (defaults::MEMORY, defaults::CPUS));
        assert_eq!(usual.disk.unwrap().value, DISK);
    }

    #[test]
    fn numbers_without_sense_do_no_harm() {
        let mint = os(None, "i686");
        let huge =
            Needs { memory_bytes: Some(u64::MAX), storage_bytes: Some(u64::MAX), cpus: Some(u32::MAX), cpu_hz: None };
        let tiny = Needs { memory_bytes: Some(1), storage_bytes: Some(1), cpus: Some(0), cpu_hz: None };
        for (minimum, recommended) in [(huge, huge), (huge, tiny), (tiny, huge), (tiny, tiny)] {
            let advice = advice(Some(&mint), minimum, recommended, HOST);
            assert!(limits::MEMORY.contains(&advice.memory.value) && limits::CPUS.contains(&advice.cpus.value));
            assert!(advice.memory.value <= HOST.memory && advice.cpus.value <= HOST.cpus);
        }
    }

    #[test]
    fn sizes_are_said_as_people_do() {
        for (size, text) in [
            (Size::gib(2), "2 GB"),
            (Size::mib(1536), "1.5 GB"),
            (Size::mib(768), "768 MB"),
            (Size::kib(24_586_188), "23.4 GB"),
            (Size::tib(6), "6 TB"),
        ] {
            assert_eq!(plain(size), text);
        }
    }
}
