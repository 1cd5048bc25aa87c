//! The part of the protobuf message `Event` that holds scalars. What is not known is passed over.

use std::borrow::Cow;

/// Why bytes are no message.
type Result<T> = std::result::Result<T, &'static str>;

const CUT: &str = "its message breaks off within a field";

/// An event: when, at which step, and what was logged.
#[derive(Debug, Default)]
pub struct Event<'a> {
    pub time: f64,
    pub step: i64,
    /// Whether a writer says that it starts at this step: what was at or after it is void.
    pub restarts: bool,
    pub values: Vec<Entry<'a>>,
}

/// A tag and what was logged under it.
#[derive(Debug)]
pub struct Entry<'a> {
    pub tag: Cow<'a, str>,
    /// Whether its metadata, if there are any, say that its tensors are scalars.
    pub scalar: Option<bool>,
    pub value: Value,
}

/// What was logged.
#[derive(Debug)]
pub enum Value {
    Number(f64),
    /// A tensor, and the number in it if it is one.
    Tensor(Option<f64>),
    Other,
}

impl<'a> Event<'a> {
    pub fn read(message: &'a [u8]) -> Result<Self> {
        let mut event = Self::default();
        for field in Fields(message) {
            match field? {
                (1, Field::Eight(bytes)) => event.time = f64::from_le_bytes(bytes),
                (2, Field::Varint(step)) => event.step = step.cast_signed(),
                (5, Field::Bytes(summary)) => {
                    for field in Fields(summary) {
                        if let (1, Field::Bytes(value)) = field? {
                            event.values.push(Entry::read(value)?);
                        }
                    }
                }
                // A session log, and its status "start".
                (7, Field::Bytes(log)) => {
                    for field in Fields(log) {
                        if let (1, Field::Varint(status)) = field? {
                            event.restarts = status == 1;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(event)
    }
}

impl<'a> Entry<'a> {
    fn read(message: &'a [u8]) -> Result<Self> {
        let mut entry = Self { tag: Cow::default(), scalar: None, value: Value::Other };
        for field in Fields(message) {
            match field? {
                (1, Field::Bytes(tag)) => entry.tag = String::from_utf8_lossy(tag),
                (2, Field::Four(bytes)) => {
                    entry.value = Value::Number(f64::from(f32::from_le_bytes(bytes)));
                }
                (8, Field::Bytes(tensor)) => entry.value = Value::Tensor(Tensor::read(tensor)?),
                (9, Field::Bytes(metadata)) => entry.scalar = Some(is_scalar(metadata)?),
                _ => {}
            }
        }
        Ok(entry)
    }
}

/// Whether metadata name the plugin of scalars.
fn is_scalar(metadata: &[u8]) -> Result<bool> {
    let mut scalar = false;
    for field in Fields(metadata) {
        if let (1, Field::Bytes(plugin)) = field? {
            for field in Fields(plugin) {
                if let (1, Field::Bytes(name)) = field? {
                    scalar = name == b"scalars";
                }
            }
        }
    }
    Ok(scalar)
}

/// A tensor of at most one number.
#[derive(Debug)]
struct Tensor<'a> {
    dtype: u64,
    elements: u64,
    content: &'a [u8],
    /// The bits of the number, where a field of its type holds it.
    bits: Option<u64>,
}

impl Tensor<'_> {
    fn read(message: &[u8]) -> Result<Option<f64>> {
        let mut tensor = Tensor { dtype: 0, elements: 1, content: &[], bits: None };
        for field in Fields(message) {
            match field? {
                (1, Field::Varint(dtype)) => tensor.dtype = dtype,
                (2, Field::Bytes(shape)) => tensor.elements = elements(shape)?,
                (4, Field::Bytes(content)) => tensor.content = content,
                // float_val and double_val; packed, as one string of bytes, or not.
                (5 | 6, Field::Four(bytes)) => tensor.bits = Some(bits(&bytes)),
                (5 | 6, Field::Eight(bytes)) => tensor.bits = Some(bits(&bytes)),
                (5, Field::Bytes(packed)) => tensor.bits = packed.get(..4).map(bits),
                (6, Field::Bytes(packed)) => tensor.bits = packed.get(..8).map(bits),
                // int_val, int64_val, bool_val, half_val, uint32_val and uint64_val.
                (7 | 10 | 11 | 13 | 16 | 17, Field::Varint(value)) => tensor.bits = Some(value),
                (7 | 10 | 11 | 13 | 16 | 17, Field::Bytes(packed)) if !packed.is_empty() => {
                    tensor.bits = Some(Fields(packed).varint()?);
                }
                _ => {}
            }
        }
        Ok(tensor.number())
    }

    /// The number by its type, the numbers of `DataType`.
    fn number(&self) -> Option<f64> {
        let size = match self.dtype {
            4 | 6 | 10 => 1,
            5 | 14 | 17 | 19 => 2,
            1 | 3 | 22 => 4,
            2 | 9 | 23 => 8,
            _ => return None,
        };
        let bits = match self.content {
            [] => self.bits?,
            content if content.len() == size => bits(content),
            _ => return None,
        };
        let [a, b, c, d, ..] = bits.to_le_bytes();
        let number = match self.dtype {
            1 => f32::from_le_bytes([a, b, c, d]).into(),
            2 => f64::from_bits(bits),
            3 => i32::from_le_bytes([a, b, c, d]).into(),
            4 | 10 => a.into(),
            5 => i16::from_le_bytes([a, b]).into(),
            6 => i8::from_le_bytes([a]).into(),
            9 => bits.cast_signed() as f64,
            14 => f32::from_le_bytes([0, 0, a, b]).into(),
            17 => u16::from_le_bytes([a, b]).into(),
            19 => half(u16::from_le_bytes([a, b])),
            22 => u32::from_le_bytes([a, b, c, d]).into(),
            _ => bits as f64,
        };
        (self.elements == 1).then_some(number)
    }
}

/// How many elements a shape has.
fn elements(shape: &[u8]) -> Result<u64> {
    let mut elements = 1_u64;
    for field in Fields(shape) {
        if let (2, Field::Bytes(dimension)) = field? {
            let mut size = 0;
            for field in Fields(dimension) {
                if let (1, Field::Varint(value)) = field? {
                    size = value;
                }
            }
            elements = elements.saturating_mul(size);
        }
    }
    Ok(elements)
}

/// Up to eight bytes, little-endian.
fn bits(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A float of 16 bits: 1 sign, 5 exponent, 10 mantissa.
fn half(bits: u16) -> f64 {
    let magnitude = u32::from(bits & 0x7fff);
    let value = match magnitude {
        // As a float of 32 bits with the same fields, but for the bias: 127, not 15.
        0..0x7c00 => {
            f64::from(f32::from_bits(magnitude << 13))
                * f64::from(f32::from_bits((127 + 112) << 23))
        }
        0x7c00 => f64::INFINITY,
        _ => f64::NAN,
    };
    if bits >> 15 == 1 { -value } else { value }
}

/// The content of a field.
enum Field<'a> {
    Varint(u64),
    Eight([u8; 8]),
    Bytes(&'a [u8]),
    Four([u8; 4]),
}

/// The fields of a message with their numbers; the first error is the last item.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        // Groups, a form of messages long out of use, are passed over whole.
        let mut depth = 0_usize;
        loop {
            if self.0.is_empty() {
                return (depth > 0).then_some(Err(CUT));
            }
            let item = self.varint().and_then(|key| match key & 7 {
                3 => {
                    depth += 1;
                    Ok((key >> 3, None))
                }
                4 if depth == 0 => Err("its message ends a group that did not begin"),
                4 => {
                    depth -= 1;
                    Ok((key >> 3, None))
                }
                _ => Ok((key >> 3, Some(self.field(key & 7)?))),
            });
            match item {
                Ok((0, _)) => return Some(self.fail("its message has a field of number 0")),
                Ok((number, Some(field))) if depth == 0 => return Some(Ok((number, field))),
                Ok(_) => {}
                Err(why) => return Some(self.fail(why)),
            }
        }
    }
}

impl<'a> Fields<'a> {
    fn fail(&mut self, why: &'static str) -> Result<(u64, Field<'a>)> {
        self.0 = &[];
        Err(why)
    }

    fn field(&mut self, wire: u64) -> Result<Field<'a>> {
        match wire {
            0 => self.varint().map(Field::Varint),
            1 => self.array().map(Field::Eight),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| CUT)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
                self.0 = rest;
                Ok(Field::Bytes(bytes))
            }
            5 => self.array().map(Field::Four),
            _ => Err("its message has a field of no known kind"),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*bytes)
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("its message has a number of more than 64 bits")
    }
}
