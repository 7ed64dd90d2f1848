//! The differentiated system description table: PCI root with its windows and interrupt routing, the devices on the
//! LPC bus, the processors, soft off.

use acpi_tables::{
    Aml,
    aml::{
        AddressSpace, AddressSpaceCacheable, Arg, Device, EISAName, IO, If, Interrupt, Memory32Fixed, Method, Name,
        PackageBuilder, Path, ResourceTemplate, Return, Scope, Store,
    },
};

use super::{Config, PM, isa_irq_of, pirq_of};
use crate::{layout, lpc, pci::Slot};

fn name(path: &str, value: &dyn Aml) -> Name {
    Name::new(Path::new(path), value)
}

/// The table's body: AML without the header.
pub(super) fn body(config: &Config) -> Vec<u8> {
    let mut aml = Vec::new();
    sleep_states(&mut aml);
    interrupt_model(&mut aml);
    pci_root(config, &mut aml);
    processors(config, &mut aml);
    aml
}

/// `\_S5`: soft off, by the ICH9's code 7.
fn sleep_states(aml: &mut Vec<u8>) {
    let mut package = PackageBuilder::new();
    for value in [7_u8, 7, 0, 0] {
        package.add_element(&value);
    }
    name("_S5_", &package).to_aml_bytes(aml);
}

/// `\_PIC`: the system says whether it uses the 8259 pair (0) or the I/O APIC (1).
fn interrupt_model(aml: &mut Vec<u8>) {
    name("PICF", &0_u8).to_aml_bytes(aml);
    let (flag, argument) = (Path::new("PICF"), Arg(0));
    let store = Store::new(&flag, &argument);
    Method::new(Path::new("_PIC"), 1, false, vec![&store]).to_aml_bytes(aml);
}

fn pci_root(config: &Config, aml: &mut Vec<u8>) {
    let windows = [
        AddressSpace::new_memory(
            AddressSpaceCacheable::Cacheable,
            true,
            layout::VIDEO_WINDOW as u32,
            (layout::VIDEO_WINDOW + layout::VIDEO_WINDOW_LEN - 1) as u32,
            None,
        ),
        AddressSpace::new_memory(
            AddressSpaceCacheable::NotCacheable,
            true,
            layout::PCI_MEMORY,
            layout::PCI_MEMORY_LAST,
            None,
        ),
    ];
    let buses = AddressSpace::new_bus_number(0_u16, 0xff);
    let configuration = IO::new(0xcf8, 0xcf8, 1, 8);
    let ports = [AddressSpace::new_io(0_u16, 0xcf7, None), AddressSpace::new_io(0xd00_u16, 0xffff, None)];
    let resources = ResourceTemplate::new(vec![&buses, &configuration, &ports[0], &ports[1], &windows[0], &windows[1]]);
    let (by_apic, by_pic) = (routing(|pirq| 16 + pirq), routing(isa_irq_of));
    let (apic_path, pic_path, flag) = (Path::new("PRTA"), Path::new("PRTP"), Path::new("PICF"));
    let (return_apic, return_pic) = (Return::new(&apic_path), Return::new(&pic_path));
    let when_apic = If::new(&flag, vec![&return_apic]);
    let children: [&dyn Aml; 8] = [
        &name("_HID", &EISAName::new("PNP0A08")),
        &name("_CID", &EISAName::new("PNP0A03")),
        &name("_UID", &0_u8),
        &name("_BBN", &0_u8),
        &name("_CRS", &resources),
        &name("PRTA", &by_apic),
        &name("PRTP", &by_pic),
        &Method::new(Path::new("_PRT"), 0, false, vec![&when_apic, &return_pic]),
    ];
    let root = Device::new(Path::new("PCI0"), children.to_vec());
    Scope::new(Path::new("\\_SB_"), vec![&root]).to_aml_bytes(aml);
    lpc_devices(config, aml);
    reserved_ranges(aml);
}

/// A PCI routing table (ACPI 6.4, section 6.2.13): pins of devices 1 to 31 to the interrupts that `interrupt` gives
/// for each PIRQ.
fn routing(interrupt: impl Fn(u8) -> u8) -> PackageBuilder {
    let mut table = PackageBuilder::new();
    for device in 0..32_u8 {
        for pin in 0..4_u8 {
            let mut entry = PackageBuilder::new();
            entry.add_element(&(u32::from(device) << 16 | 0xffff));
            entry.add_element(&pin);
            entry.add_element(&0_u8);
            entry.add_element(&u32::from(interrupt(pirq_of(Slot { device, function: 0 }, pin))));
            table.add_element(&entry);
        }
    }
    table
}

fn isa_interrupt(irq: u8) -> Interrupt {
    Interrupt::new(true, true, false, false, irq.into())
}

fn lpc_devices(config: &Config, aml: &mut Vec<u8>) {
    let mut devices = Vec::new();
    let mut device = |path: &str, hid: &str, uid: Option<u8>, resources: Vec<&dyn Aml>| {
        let (hid, uid_value) = (EISAName::new(hid), uid.unwrap_or(0));
        let resources = ResourceTemplate::new(resources);
        let (hid, uid_name) = (name("_HID", &hid), name("_UID", &uid_value));
        let (status, resources) = (name("_STA", &0xf_u8), name("_CRS", &resources));
        let mut children: Vec<&dyn Aml> = vec![&hid];
        children.extend(uid.map(|_| &uid_name as &dyn Aml));
        children.extend([&status as &dyn Aml, &resources]);
        Device::new(Path::new(path), children).to_aml_bytes(&mut devices);
    };
    let port = |base: u16, len: u8| IO::new(base, base, 1, len);
    device("KBD_", "PNP0303", None, vec![&port(0x60, 1), &port(0x64, 1), &isa_interrupt(1)]);
    device("MOU_", "PNP0F13", None, vec![&isa_interrupt(12)]);
    device("RTC_", "PNP0B00", None, vec![&port(0x70, 8), &isa_interrupt(8)]);
    device("TMR_", "PNP0100", None, vec![&port(0x40, 4), &isa_interrupt(0)]);
    device("SPKR", "PNP0800", None, vec![&port(0x61, 1)]);
    for (index, &(base, irq)) in (1_u8..).zip(&config.serial_ports) {
        device(&format!("COM{index}"), "PNP0501", Some(index), vec![&port(base, 8), &isa_interrupt(irq)]);
    }
    struct Bytes(Vec<u8>);
    impl Aml for Bytes {
        fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
            sink.vec(&self.0);
        }
    }
    let address = name("_ADR", &0x001f_0000_u32);
    let devices = Bytes(devices);
    let bridge = Device::new(Path::new("ISA_"), vec![&address, &devices]);
    Scope::new(Path::new("\\_SB_.PCI0"), vec![&bridge]).to_aml_bytes(aml);
}

/// What nobody else may be given: the configuration window, the root complex block, power management.
fn reserved_ranges(aml: &mut Vec<u8>) {
    let ecam = Memory32Fixed::new(false, layout::ECAM as u32, layout::ECAM_LEN as u32);
    let block = Memory32Fixed::new(true, layout::RCRB, 0x4000);
    let power = IO::new(PM, PM, 1, lpc::POWER_PORTS as u8);
    let apm = IO::new(0xb2, 0xb2, 1, 2);
    let resources = ResourceTemplate::new(vec![&ecam, &block, &power, &apm]);
    let hid = EISAName::new("PNP0C02");
    let (hid, uid, resources) = (name("_HID", &hid), name("_UID", &1_u8), name("_CRS", &resources));
    let device = Device::new(Path::new("RSRV"), vec![&hid, &uid, &resources]);
    Scope::new(Path::new("\\_SB_"), vec![&device]).to_aml_bytes(aml);
}

fn processors(config: &Config, aml: &mut Vec<u8>) {
    for cpu in 0..config.cpus {
        let hid = name("_HID", &"ACPI0007");
        let (uid, status) = (name("_UID", &cpu), name("_STA", &0xf_u8));
        let device = Device::new(Path::new(&format!("C{cpu:03}")), vec![&hid, &uid, &status]);
        Scope::new(Path::new("\\_SB_"), vec![&device]).to_aml_bytes(aml);
    }
}
