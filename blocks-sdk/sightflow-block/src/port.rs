//! Ports: which Rust type stands for which kind.

use serde::Serialize;
use serde_json::{Map, Value};
use sightflow_types::detection::{Detection, DetectionInput};
use sightflow_types::manifest::{NamedOutputs, Port, PortKind};

use crate::{BlockError, Bytes, Image};

/// The inputs of a block; derive it.
pub trait Inputs: Sized {
    /// The input ports, in order.
    fn ports() -> Vec<Port>;

    /// Reads the inputs of one call from a JSON object. Ports that the struct does not name are ignored.
    ///
    /// # Errors
    /// Bad input that names the port: a required one is missing or null, or a value is of another type.
    fn read(document: &str) -> Result<Self, BlockError>;
}

/// The outputs of a block; derive it.
pub trait Outputs: Serialize {
    /// The output ports, in order.
    fn ports() -> Vec<Port>;

    /// Further output ports, which the configuration names.
    fn named() -> Option<NamedOutputs> {
        None
    }
}

/// A type that knows the kind of a port that carries it. Where the type cannot tell, say `#[port(kind = "…")]`.
pub trait PortType {
    /// The kind.
    const KIND: PortKind;
}

/// A type of which a list is a port type too.
pub trait ListItem {
    /// The kind of a list of these.
    const LIST: PortKind;
}

impl<T: ListItem> PortType for Vec<T> {
    const KIND: PortKind = T::LIST;
}

macro_rules! port_types {
    ($($ty:ty => $kind:ident, $list:ident;)+) => {$(
        impl PortType for $ty {
            const KIND: PortKind = PortKind::$kind;
        }

        impl ListItem for $ty {
            const LIST: PortKind = PortKind::$list;
        }
    )+};
}

port_types! {
    Image => Image, Images;
    Bytes => Bytes, Array;
    Detection => Detection, Detections;
    DetectionInput => Detection, Detections;
    Value => Any, Array;
    Map<String, Value> => Object, Array;
    String => String, Array;
    bool => Boolean, Array;
    f64 => Number, Numbers;
    u32 => Number, Numbers;
    u64 => Number, Numbers;
    i64 => Number, Numbers;
    usize => Number, Numbers;
}
