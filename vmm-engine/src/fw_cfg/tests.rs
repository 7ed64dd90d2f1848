use hypervisor::memory::guest_memory;
use machine::device_contract;

use super::*;

const RAM: u64 = 0x10_0000;

fn new_device() -> FwCfg {
    let mut contents = Contents::new();
    contents.set(key::CPUS, vec![4, 0]).unwrap();
    contents.set(key::IRQ0_OVERRIDE, vec![1]).unwrap();
    contents.add_file("etc/numbers", (0..=255).collect()).unwrap();
    contents.add_writable_file("etc/writable", vec![0xaa; 16]).unwrap();
    FwCfg::new(contents, guest_memory(&[(0, RAM)]).unwrap())
}

device_contract!(contract, new_device(), &[Region::Port { region: 0, len: 12 }]);

fn select(device: &mut FwCfg, key: u16) {
    device.port_write(0, SELECTOR, &key.to_le_bytes());
}

/// What `rep insb` does.
fn read_bytes<const N: usize>(device: &mut FwCfg) -> [u8; N] {
    std::array::from_fn(|_| {
        let mut byte = [0x55];
        device.port_read(0, DATA, &mut byte);
        byte[0]
    })
}

fn file_key(device: &mut FwCfg, name: &str) -> u16 {
    select(device, key::FILE_DIRECTORY);
    let count = u32::from_be_bytes(read_bytes(device));
    let entries: Vec<[u8; 64]> = (0..count).map(|_| read_bytes(device)).collect();
    let entry = entries.iter().find(|entry| entry[8..].starts_with(name.as_bytes())).unwrap();
    u16::from_be_bytes([entry[4], entry[5]])
}

/// A transfer as firmware does it; gives the control word afterwards.
fn transfer(device: &mut FwCfg, control: u32, len: u32, address: u64) -> u32 {
    let at = GuestAddress(0x8000);
    let request = u128::from(control) << 96 | u128::from(len) << 64 | u128::from(address);
    device.memory.write_slice(&request.to_be_bytes(), at).unwrap();
    device.port_write(0, DMA_LOW, &(at.0 as u32).to_be_bytes());
    let mut result = [0; 4];
    device.memory.read_slice(&mut result, at).unwrap();
    u32::from_be_bytes(result)
}

fn memory_at<const N: usize>(device: &FwCfg, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    device.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

#[test]
fn the_signature_and_the_features_are_there() {
    let mut device = new_device();
    assert_eq!(&read_bytes::<6>(&mut device), b"QEMU\0\0");
    select(&mut device, key::ID);
    assert_eq!(read_bytes(&mut device), [3, 0, 0, 0]);
    let (mut high, mut low) = ([0; 4], [0; 4]);
    device.port_read(0, DMA_HIGH, &mut high);
    device.port_read(0, DMA_LOW, &mut low);
    assert_eq!((&high, &low), (b"QEMU", b" CFG"));
}

#[test]
fn items_are_read_in_order_and_again_after_a_selection() {
    let mut device = new_device();
    let number = file_key(&mut device, "etc/numbers");
    select(&mut device, number);
    assert_eq!(read_bytes(&mut device), [0, 1, 2]);
    assert_eq!(read_bytes(&mut device), [3, 4]);
    select(&mut device, number);
    assert_eq!(read_bytes(&mut device), [0]);
}

#[test]
fn beyond_an_item_and_of_no_item_zeroes_are_read() {
    let mut device = new_device();
    select(&mut device, key::IRQ0_OVERRIDE);
    assert_eq!(read_bytes(&mut device), [1, 0, 0]);
    select(&mut device, 0x3abc);
    assert_eq!(read_bytes(&mut device), [0; 4]);
    assert_eq!(transfer(&mut device, CONTROL_READ, 4, 0x100), 0);
}

#[test]
fn the_old_write_bit_of_a_selector_is_ignored() {
    let mut device = new_device();
    select(&mut device, 0x4000 | key::CPUS);
    assert_eq!(read_bytes(&mut device), [4, 0]);
}

#[test]
fn writes_to_the_data_port_change_nothing() {
    let mut device = new_device();
    let writable = file_key(&mut device, "etc/writable");
    select(&mut device, writable);
    device.port_write(0, DATA, &[1]);
    assert_eq!(read_bytes(&mut device), [0xaa, 0xaa]);
}

#[test]
fn dma_selects_reads_and_skips() {
    let mut device = new_device();
    let number = u32::from(file_key(&mut device, "etc/numbers"));
    assert_eq!(transfer(&mut device, number << 16 | CONTROL_SELECT | CONTROL_READ, 4, 0x100), 0);
    assert_eq!(memory_at(&device, 0x100), [0, 1, 2, 3]);
    assert_eq!(transfer(&mut device, CONTROL_SKIP, 246, 0), 0);
    device.memory.write_slice(&[0x77; 10], GuestAddress(0x100)).unwrap();
    assert_eq!(transfer(&mut device, CONTROL_READ, 9, 0x100), 0);
    assert_eq!(memory_at(&device, 0x100), [250, 251, 252, 253, 254, 255, 0, 0, 0, 0x77]);
    assert_eq!(transfer(&mut device, CONTROL_SKIP, u32::MAX, 0), 0);
    assert_eq!(transfer(&mut device, CONTROL_READ, 0, u64::MAX), 0, "nothing can be read to anywhere");
    assert_eq!(read_bytes(&mut device), [0]);
}

#[test]
fn dma_takes_both_halves_of_the_address() {
    let mut device = FwCfg::new(Contents::new(), guest_memory(&[(0, RAM), (0x1_0000_0000, RAM)]).unwrap());
    let request = u128::from(CONTROL_READ) << 96 | 4 << 64 | 0x1_0000_0100;
    device.memory.write_slice(&request.to_be_bytes(), GuestAddress(0x1_0000_0000)).unwrap();
    device.port_write(0, DMA_HIGH, &1_u32.to_be_bytes());
    device.port_write(0, DMA_LOW, &0_u32.to_be_bytes());
    assert_eq!(&memory_at(&device, 0x1_0000_0100), b"QEMU");
    assert_eq!(memory_at(&device, 0x1_0000_0000), [0; 4]);
}

#[test]
fn dma_beyond_memory_is_an_error_and_writes_nothing() {
    let mut device = new_device();
    device.memory.write_slice(&[0x77; 4], GuestAddress(RAM - 4)).unwrap();
    for (len, address) in [(5, RAM - 4), (1, RAM), (2, u64::MAX), (u32::MAX, 0x100)] {
        assert_eq!(transfer(&mut device, CONTROL_READ, len, address), CONTROL_ERROR, "{len} at {address:#x}");
    }
    assert_eq!((memory_at(&device, RAM - 4), memory_at(&device, 0x100)), ([0x77; 4], [0; 4]));
    assert_eq!(&read_bytes(&mut device), b"QEMU", "the offset hasn't moved");
}

#[test]
fn a_control_structure_beyond_memory_is_ignored() {
    let mut device = new_device();
    device.port_write(0, DMA_LOW, &(RAM as u32 - 8).to_be_bytes());
    device.port_write(0, DMA_LOW, &0xffff_fff8_u32.to_be_bytes());
    assert_eq!(&read_bytes(&mut device), b"QEMU");
}

#[test]
fn dma_writes_writable_files_within_their_length_only() {
    let mut device = new_device();
    let writable = u32::from(file_key(&mut device, "etc/writable")) << 16 | CONTROL_SELECT | CONTROL_WRITE;
    let readable = u32::from(file_key(&mut device, "etc/numbers")) << 16 | CONTROL_SELECT | CONTROL_WRITE;
    device.memory.write_slice(&[1, 2, 3, 4], GuestAddress(0x100)).unwrap();
    assert_eq!(transfer(&mut device, writable, 2, 0x100), 0);
    assert_eq!(transfer(&mut device, CONTROL_WRITE, 2, 0x100), 0);
    assert_eq!(device.file("etc/writable").unwrap()[..5], [1, 2, 1, 2, 0xaa]);
    assert_eq!(transfer(&mut device, writable, 17, 0x100), CONTROL_ERROR);
    assert_eq!(transfer(&mut device, writable, 4, RAM - 2), CONTROL_ERROR);
    assert_eq!(transfer(&mut device, readable, 1, 0x100), CONTROL_ERROR);
    assert_eq!(transfer(&mut device, 0x3abc << 16 | CONTROL_SELECT | CONTROL_WRITE, 1, 0x100), CONTROL_ERROR);
    assert_eq!((device.file("etc/writable").unwrap()[0], device.file("etc/numbers").unwrap()[0]), (1, 0));
}

#[test]
fn what_the_guest_wrote_is_saved_and_a_reset_undoes_it() {
    let mut device = new_device();
    let writable = u32::from(file_key(&mut device, "etc/writable")) << 16 | CONTROL_SELECT | CONTROL_WRITE;
    device.memory.write_slice(&[9; 16], GuestAddress(0x100)).unwrap();
    transfer(&mut device, writable, 16, 0x100);
    let mut copy = new_device();
    copy.restore(&device.save().unwrap()).unwrap();
    assert_eq!(copy.file("etc/writable").unwrap(), [9; 16]);
    copy.reset();
    assert_eq!(copy.file("etc/writable").unwrap(), [0xaa; 16]);
}

#[test]
fn a_state_with_other_writable_items_is_refused() {
    let mut foreign = FwCfg::new(Contents::new(), guest_memory(&[(0, RAM)]).unwrap());
    let unit = foreign.save().unwrap();
    assert!(matches!(new_device().restore(&unit), Err(RestoreError::Impossible { .. })));
}
