//! Tests of the line, with sockets and a port of the usual sixteen bytes.

use std::{io::Seek, thread::JoinHandle, time::Instant};

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

fn open_line(file: Option<File>) -> Arc<SerialLine> {
    let line = SerialLine::new(file).unwrap();
    line.open();
    line
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Attaches somebody, with a receiver, and gives their end.
fn attach(
    line: &Arc<SerialLine>,
    receive: impl Fn(&[u8]) -> usize + Send + 'static,
) -> (UnixStream, JoinHandle<io::Result<()>>) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_read_timeout(Some(LIMIT)).unwrap();
    let seat = line.seat().unwrap();
    let before = line.state.lock().attached.len();
    let thread = std::thread::spawn(move || seat.attach(far, b"", receive));
    wait_until("somebody attaches", || line.state.lock().attached.len() > before);
    (near, thread)
}

fn assert_nobody_is_left(line: &SerialLine) {
    wait_until("everybody is let go", || line.state.lock().seats == 0);
    assert!(line.state.lock().attached.is_empty());
}

/// A guest's receiver: takes what fits, and tells of room when it has become empty.
#[derive(Default)]
struct Receiver {
    bytes: VecDeque<u8>,
    refused: bool,
}

impl Receiver {
    fn receive(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(16 - self.bytes.len());
        self.bytes.extend(&bytes[..taken]);
        self.refused |= taken < bytes.len();
        taken
    }

    fn read(&mut self, port: &mut Port) -> Option<u8> {
        let byte = self.bytes.pop_front();
        if self.bytes.is_empty() && std::mem::take(&mut self.refused) {
            port.receiver_ready();
        }
        byte
    }
}

#[test]
fn output_reaches_the_file_and_everybody_attached() {
    let mut file = tempfile::tempfile().unwrap();
    let line = open_line(Some(file.try_clone().unwrap()));
    let (mut first, _) = attach(&line, <[u8]>::len);
    let (mut second, _) = attach(&line, <[u8]>::len);
    line.offer(b"ping");
    for near in [&mut first, &mut second] {
        let mut seen = [0; 4];
        near.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"ping");
    }
    line.close(LIMIT);
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "ping");
}

#[test]
fn the_file_is_emptied_when_the_line_opens_and_not_before() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"the run before").unwrap();
    file.rewind().unwrap();
    let line = SerialLine::new(Some(file.try_clone().unwrap())).unwrap();
    line.offer(b"new");
    assert_eq!(file.metadata().unwrap().len(), 14);
    line.open();
    line.close(LIMIT);
    assert_eq!(file.metadata().unwrap().len(), 3);
}

#[test]
fn input_of_several_arrives_whole_whoever_has_to_wait() {
    let line = open_line(None);
    let receiver = Arc::new(Mutex::new(Receiver::default()));
    let (mut port, mut counts) = (Port(line.clone()), [0_usize; 2]);
    let mut nears: Vec<_> = (0..2)
        .map(|_| {
            let receiver = receiver.clone();
            attach(&line, move |bytes| receiver.lock().receive(bytes)).0
        })
        .collect();
    for round in 1..=40 {
        nears[0].write_all(&[b'a'; 300]).unwrap();
        (0..40).for_each(|_| nears[1].write_all(b"b").unwrap());
        wait_until(&format!("round {round} arrives: {counts:?}"), || {
            while let Some(byte) = receiver.lock().read(&mut port) {
                counts[usize::from(byte == b'b')] += 1;
            }
            counts == [300 * round, 40 * round]
        });
    }
    drop(nears);
    assert_nobody_is_left(&line);
}

#[test]
fn nobody_waits_for_ever_behind_one_who_sends_much() {
    let line = open_line(None);
    let receiver = Arc::new(Mutex::new(Receiver::default()));
    let mut nears: Vec<_> = (0..2)
        .map(|_| {
            let receiver = receiver.clone();
            attach(&line, move |bytes| receiver.lock().receive(bytes)).0
        })
        .collect();
    let (mut port, mut counts) = (Port(line.clone()), [0_usize; 2]);
    nears[0].write_all(&[b'a'; 60_000]).unwrap();
    nears[1].write_all(&[b'b'; 3000]).unwrap();
    wait_until("the second is heard", || {
        while let Some(byte) = receiver.lock().read(&mut port) {
            counts[usize::from(byte == b'b')] += 1;
        }
        counts[1] == 3000
    });
    assert!(counts[0] < 30_000, "it had to wait: {counts:?}");
}

#[test]
fn who_hangs_up_is_let_go_though_the_guest_is_silent() {
    let line = open_line(None);
    let (near, thread) = attach(&line, <[u8]>::len);
    drop(near);
    thread.join().unwrap().unwrap();
    assert_nobody_is_left(&line);
}

#[test]
fn who_hangs_up_is_let_go_though_the_guest_never_reads() {
    let line = open_line(None);
    let (mut near, thread) = attach(&line, |_| 0);
    near.write_all(&[b'A'; 5000]).unwrap();
    drop(near);
    thread.join().unwrap().unwrap();
    assert_nobody_is_left(&line);
}

#[test]
fn what_was_sent_before_hanging_up_arrives_when_the_guest_reads() {
    let line = open_line(None);
    let receiver = Arc::new(Mutex::new(Receiver::default()));
    let shared = receiver.clone();
    let (mut near, thread) = attach(&line, move |bytes| shared.lock().receive(bytes));
    near.write_all(&[b'A'; 3000]).unwrap();
    drop(near);
    let (mut port, mut count) = (Port(line.clone()), 0);
    wait_until("everything arrives", || {
        while receiver.lock().read(&mut port).is_some() {
            count += 1;
        }
        count == 3000
    });
    thread.join().unwrap().unwrap();
    assert_nobody_is_left(&line);
}

#[test]
fn who_has_no_more_to_say_still_listens() {
    let line = open_line(None);
    let (mut near, thread) = attach(&line, <[u8]>::len);
    near.shutdown(Shutdown::Write).unwrap();
    line.offer(b"late");
    let mut seen = [0; 4];
    near.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"late");
    drop(near);
    thread.join().unwrap().unwrap();
}

#[test]
fn who_reads_too_slowly_sees_the_connection_end() {
    let line = open_line(None);
    let (mut near, thread) = attach(&line, <[u8]>::len);
    wait_until("the slow reader is let go", || {
        line.offer(&[b'x'; 16 * 1024]);
        line.state.lock().attached.is_empty()
    });
    near.read_to_end(&mut Vec::new()).unwrap();
    thread.join().unwrap().unwrap();
    assert_nobody_is_left(&line);
}

#[test]
fn the_seats_are_counted() {
    let line = open_line(None);
    let seats: Vec<Seat> = (0..SEATS).map(|_| line.seat().unwrap()).collect();
    assert!(line.seat().is_none());
    drop(seats);
    assert!(line.seat().is_some());
}

#[test]
fn a_line_that_nobody_empties_takes_no_more_than_its_queue() {
    let line = SerialLine::default();
    assert_eq!(line.offer(&vec![0; QUEUE + 10]), QUEUE);
    assert_eq!(line.offer(&[0]), 0);
}
