//! The serialised form: `{"version": 1, "schedule": {"type": "cos", "start": 0.0, "end": 2.0}}`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Body, Ends, MAX_DEPTH, MAX_PHASES, Op, Part, Schedule, Shape, holds_a_function};
use crate::error::{Result, value_error};

/// The version this crate writes, and the only one it reads.
const VERSION: u32 = 1;

/// Brackets a document of the deepest schedule opens: two a level, the frame, and lists of ends.
const MAX_BRACKETS: usize = 2 * MAX_DEPTH + 4;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    schedule: Object<Node>,
}

/// What every version has: read first, so that a newer one is named as such.
#[derive(Deserialize)]
struct Header {
    version: u32,
}

/// One schedule; the field names are those of the Python calls that make it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Node {
    Lin {
        start: Ends,
        end: Ends,
    },
    Cos {
        start: Ends,
        end: Ends,
    },
    No {
        start: Ends,
        end: Ends,
    },
    Exp {
        start: Ends,
        end: Ends,
    },
    Poly {
        start: Ends,
        end: Ends,
        power: f64,
    },
    #[serde(rename = "inverse_sqrt")]
    InverseSqrt {
        start: Ends,
        end: Ends,
    },
    Tanh {
        start: Ends,
        end: Ends,
        lower: f64,
        upper: f64,
    },
    Combine {
        pcts: Vec<f64>,
        scheds: Vec<Object<Node>>,
    },
    Add {
        of: [Box<Object<Node>>; 2],
    },
    Multiply {
        of: [Box<Object<Node>>; 2],
    },
    Clip {
        of: Box<Object<Node>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        low: Option<Ends>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        high: Option<Ends>,
    },
    Part {
        of: Box<Object<Node>>,
        start: f64,
        end: f64,
    },
    Warp {
        of: Box<Object<Node>>,
        power: f64,
    },
    Repeat {
        of: Box<Object<Node>>,
        times: usize,
        stretch: f64,
    },
}

impl Node {
    /// Phases in all, as the schedule counts them.
    fn size(&self) -> usize {
        match self {
            Self::Combine { scheds, .. } => {
                scheds.iter().map(|one| one.0.size()).fold(scheds.len(), usize::saturating_add)
            }
            Self::Add { of } | Self::Multiply { of } => {
                of.iter().map(|one| one.0.size()).fold(1, usize::saturating_add)
            }
            Self::Clip { of, .. } | Self::Part { of, .. } | Self::Warp { of, .. } => {
                of.0.size().saturating_add(1)
            }
            Self::Repeat { of, times, .. } => of.0.size().max(1).saturating_mul(*times),
            _ => 0,
        }
    }
}

/// A JSON object: serde would take an array of the fields in order as well.
#[derive(Serialize)]
#[serde(transparent)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct OnlyMaps<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMaps<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(OnlyMaps(PhantomData)).map(Self)
    }
}

impl Schedule {
    /// The schedule as JSON that [`Schedule::from_json`] reads back to an equal one.
    pub fn to_json(&self) -> Result<String> {
        let document = Document { version: VERSION, schedule: Object(self.to_node("scheds")?) };
        serde_json::to_string(&document)
            .map_err(|error| value_error!("the schedule cannot be written as JSON: {error}"))
    }

    /// Read what [`Schedule::to_json`] wrote; anything else is an error.
    pub fn from_json(text: &str) -> Result<Self> {
        check_brackets(text)?;
        if let Ok(Object(Header { version })) = serde_json::from_str(text)
            && version != VERSION
        {
            return Err(value_error!(
                "`text` must be a schedule of version {VERSION}, got version {version}"
            ));
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer.disable_recursion_limit();
        let Object(document) = Object::<Document>::deserialize(&mut deserializer)
            .and_then(|document| deserializer.end().map(|()| document))
            .map_err(|error| value_error!("`text` must be the JSON of a schedule: {error}"))?;
        let size = document.schedule.0.size();
        if size > MAX_PHASES {
            // Before any of them is made.
            return Err(value_error!(
                "`text` must not hold more than {MAX_PHASES} phases in all, got {size}"
            ));
        }
        Self::from_node(document.schedule.0)
    }

    fn to_node(&self, path: &str) -> Result<Node> {
        Ok(match &*self.0 {
            Body::Simple(simple) => {
                let (start, end) = (simple.start.clone(), simple.end.clone());
                match simple.shape {
                    Shape::Lin => Node::Lin { start, end },
                    Shape::Cos => Node::Cos { start, end },
                    Shape::No => Node::No { start, end },
                    Shape::Exp => Node::Exp { start, end },
                    Shape::Poly { power } => Node::Poly { start, end, power },
                    Shape::InverseSqrt => Node::InverseSqrt { start, end },
                    Shape::Tanh { lower, upper } => Node::Tanh { start, end, lower, upper },
                }
            }
            Body::Combined(combined) => {
                let scheds = combined.parts.iter().enumerate().map(|(i, part)| {
                    let path = format!("{path}[{i}]");
                    match part {
                        Part::Schedule(schedule) => {
                            schedule.to_node(&format!("{path}.scheds")).map(Object)
                        }
                        Part::Custom(custom) => Err(holds_a_function(
                            "to_json",
                            &format!("{path} = {}", custom.describe()),
                        )),
                    }
                });
                Node::Combine {
                    pcts: combined.pcts.clone(),
                    scheds: scheds.collect::<Result<_>>()?,
                }
            }
            Body::Made(made) => {
                let node = |index: usize| {
                    let path = if index == 0 { path.to_owned() } else { format!("{path}.of[1]") };
                    made.of[index].to_node(&path).map(|node| Box::new(Object(node)))
                };
                match made.op.clone() {
                    Op::Add => Node::Add { of: [node(0)?, node(1)?] },
                    Op::Multiply => Node::Multiply { of: [node(0)?, node(1)?] },
                    Op::Clip { low, high } => Node::Clip { of: node(0)?, low, high },
                    Op::Part { start, end } => Node::Part { of: node(0)?, start, end },
                    Op::Warp { power } => Node::Warp { of: node(0)?, power },
                }
            }
            Body::Repeat(repeat) => Node::Repeat {
                of: Box::new(Object(repeat.of.to_node(path)?)),
                times: repeat.times,
                stretch: repeat.stretch,
            },
        })
    }

    fn from_node(node: Node) -> Result<Self> {
        match node {
            Node::Lin { start, end } => Self::simple(Shape::Lin, start, end),
            Node::Cos { start, end } => Self::simple(Shape::Cos, start, end),
            Node::No { start, end } => Self::simple(Shape::No, start, end),
            Node::Exp { start, end } => Self::simple(Shape::Exp, start, end),
            Node::Poly { start, end, power } => Self::simple(Shape::Poly { power }, start, end),
            Node::InverseSqrt { start, end } => Self::simple(Shape::InverseSqrt, start, end),
            Node::Tanh { start, end, lower, upper } => {
                Self::simple(Shape::Tanh { lower, upper }, start, end)
            }
            Node::Add { of: [a, b] } => Self::from_node(a.0)?.add(&Self::from_node(b.0)?),
            Node::Multiply { of: [a, b] } => Self::from_node(a.0)?.multiply(&Self::from_node(b.0)?),
            Node::Clip { of, low, high } => Self::from_node(of.0)?.clip(low, high),
            Node::Part { of, start, end } => Self::from_node(of.0)?.part(start, end),
            Node::Warp { of, power } => Self::from_node(of.0)?.warp(power),
            Node::Repeat { of, times, stretch } => Self::from_node(of.0)?.repeat(times, stretch),
            Node::Combine { pcts, scheds } => {
                let parts =
                    scheds.into_iter().map(|node| Self::from_node(node.0).map(Part::Schedule));
                Self::combine(pcts, parts.collect::<Result<_>>()?)
            }
        }
    }
}

/// Refuse nesting no schedule has before the recursive parser meets it.
fn check_brackets(text: &str) -> Result<()> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_BRACKETS {
            return Err(value_error!("`text` must not nest schedules more than {MAX_DEPTH} deep"));
        }
    }
    Ok(())
}
