//! TensorBoard's `Event`, as far as needed, in the wire format of protocol buffers.
//!
//! ```text
//! Event    wall_time = 1: double, step = 2: int64, file_version = 3: string, summary = 5: Summary
//! Summary  value = 1: repeated Value
//! Value    tag = 1: string, simple_value = 2: float, tensor = 8: TensorProto, metadata = 9: SummaryMetadata
//! ```
//!
//! After TensorFlow's `event.proto`, `summary.proto` and `tensor.proto`.

const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// One event.
pub struct Event {
    head: Message,
    summary: Message,
}

impl Event {
    /// The first event of a file.
    pub fn first(seconds: f64) -> Event {
        let mut event = Event::new(seconds, 0);
        event.head.bytes(3, b"brain.Event:2");
        event
    }

    /// An event of a step, with the time in seconds since 1970.
    pub fn new(seconds: f64, step: u64) -> Event {
        let mut head = Message::default();
        head.eight(1, seconds);
        head.number(2, step);
        Event { head, summary: Message::default() }
    }

    /// Adds a number.
    pub fn scalar(&mut self, tag: &str, value: f64) {
        let mut scalar = Message::default();
        scalar.bytes(1, tag.as_bytes());
        scalar.four(2, value as f32);
        self.summary.bytes(1, &scalar.0);
    }

    /// Adds a text: a tensor of one string (type 7), for TensorBoard's text plugin.
    pub fn text(&mut self, tag: &str, text: &str) {
        let [mut tensor, mut shape, mut dim] = <[Message; 3]>::default();
        dim.number(1, 1);
        shape.bytes(2, &dim.0);
        tensor.number(1, 7);
        tensor.bytes(2, &shape.0);
        tensor.bytes(8, text.as_bytes());
        let [mut value, mut metadata, mut plugin] = <[Message; 3]>::default();
        plugin.bytes(1, b"text");
        metadata.bytes(1, &plugin.0);
        value.bytes(1, tag.as_bytes());
        value.bytes(8, &tensor.0);
        value.bytes(9, &metadata.0);
        self.summary.bytes(1, &value.0);
    }

    /// The bytes to store.
    pub fn bytes(&self) -> Vec<u8> {
        let mut event = Message(self.head.0.clone());
        if !self.summary.0.is_empty() {
            event.bytes(5, &self.summary.0);
        }
        event.0
    }
}

/// The step of a stored event; `None` if it is not a valid event with a step.
pub fn step(mut event: &[u8]) -> Option<u64> {
    let mut step = 0;
    while !event.is_empty() {
        let key = varint(&mut event)?;
        let length = match key & 7 {
            VARINT => {
                let value = varint(&mut event)?;
                step = if key >> 3 == 2 { value } else { step };
                0
            }
            EIGHT_BYTES => 8,
            LENGTH => varint(&mut event)?,
            FOUR_BYTES => 4,
            _ => return None,
        };
        event = event.get(usize::try_from(length).ok()?..)?;
    }
    Some(step)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Fields, each with its number and wire type.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | VARINT);
        self.varint(value);
    }

    fn eight(&mut self, field: u64, value: f64) {
        self.varint(field << 3 | EIGHT_BYTES);
        self.0.extend(value.to_le_bytes());
    }

    fn four(&mut self, field: u64, value: f32) {
        self.varint(field << 3 | FOUR_BYTES);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_stored_as_the_format_says() {
        let mut event = Event::new(1.5, 300);
        event.scalar("loss", 2.5);
        let expected = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F][..],
            &[0x10, 0xAC, 0x02],
            &[0x2A, 13, 0x0A, 11, 0x0A, 4, b'l', b'o', b's', b's', 0x15, 0, 0, 0x20, 0x40],
        ];
        assert_eq!(event.bytes(), expected.concat());
        assert_eq!(step(&event.bytes()), Some(300));
        assert_eq!(step(&Event::first(1.5).bytes()), Some(0));
        assert_eq!(step(&event.bytes()[..20]), None);
    }
}
