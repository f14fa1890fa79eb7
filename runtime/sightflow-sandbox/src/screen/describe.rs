//! Types of a component in words, as WIT writes them. One description serves both sides of a comparison.

use std::collections::HashMap;
use std::fmt::Write as _;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType, ComponentFuncTypeId,
    ComponentInstanceType, ComponentValType, ResourceId,
};
use wasmparser::types::TypesRef;

/// Characters of one description: types may contain each other, and their texts grow faster than the binary.
const LONGEST: usize = 32 << 10;

/// What resources are called, over all interfaces of one side.
pub(super) type Resources<'a> = HashMap<ResourceId, &'a str>;

/// Adds the resources of an interface.
pub(super) fn add_resources<'a>(instance: &'a ComponentInstanceType, resources: &mut Resources<'a>) {
    for (name, item) in &instance.exports {
        if let ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(id), .. } = item.ty {
            resources.insert(id.resource(), name);
        }
    }
}

/// One item of an interface.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// With the names of types that have one: for people.
    pub(super) named: String,
    /// With every type spelled out: two items are the same if these are.
    pub(super) spelled: String,
}

/// An interface's items by name.
pub(super) struct Interface<'a> {
    types: TypesRef<'a>,
    instance: &'a ComponentInstanceType,
    names: HashMap<ComponentDefinedTypeId, &'a str>,
    resources: &'a Resources<'a>,
}

impl<'a> Interface<'a> {
    /// The interface of this type.
    pub(super) fn new(types: TypesRef<'a>, instance: &'a ComponentInstanceType, resources: &'a Resources<'a>) -> Self {
        let names = instance.exports.iter().filter_map(|(name, item)| match item.ty {
            ComponentEntityType::Type { created: ComponentAnyTypeId::Defined(id), .. } => Some((id, name.as_str())),
            _ => None,
        });
        Self { types, instance, names: names.collect(), resources }
    }

    /// Names of its items, in order.
    pub(super) fn items(&self) -> impl Iterator<Item = &'a str> {
        self.instance.exports.keys().map(String::as_str)
    }

    /// Whether the item is a function.
    pub(super) fn is_function(&self, name: &str) -> bool {
        self.instance.exports.get(name).is_some_and(|item| matches!(item.ty, ComponentEntityType::Func(_)))
    }

    /// One item in words, if it is there.
    pub(super) fn item(&self, name: &str) -> Option<Item> {
        let ty = self.instance.exports.get(name)?.ty;
        let text = |names: &HashMap<_, _>| {
            let mut writer = Writer { types: self.types, names, resources: self.resources, text: String::new() };
            writer.entity(ty);
            writer.text
        };
        Some(Item { named: text(&self.names), spelled: text(&HashMap::new()) })
    }
}

fn name_of<'a>(resources: &Resources<'a>, id: ResourceId) -> &'a str {
    resources.get(&id).copied().unwrap_or("resource-of-its-own")
}

struct Writer<'a> {
    types: TypesRef<'a>,
    names: &'a HashMap<ComponentDefinedTypeId, &'a str>,
    resources: &'a Resources<'a>,
    text: String,
}

impl Writer<'_> {
    fn entity(&mut self, ty: ComponentEntityType) {
        match ty {
            ComponentEntityType::Func(id) => self.function(id),
            // What it is, not what it is called.
            ComponentEntityType::Type { created: ComponentAnyTypeId::Defined(id), .. } => self.definition(id),
            ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(_), .. } => {
                self.text.push_str("resource");
            }
            ComponentEntityType::Type { .. } => self.text.push_str("type"),
            ComponentEntityType::Value(_) => self.text.push_str("value"),
            ComponentEntityType::Module(_) => self.text.push_str("module"),
            ComponentEntityType::Instance(_) => self.text.push_str("instance"),
            ComponentEntityType::Component(_) => self.text.push_str("component"),
        }
    }

    fn function(&mut self, id: ComponentFuncTypeId) {
        let Some(function) = self.types.get(id) else { return };
        self.text.push_str(if function.async_ { "async func(" } else { "func(" });
        for (index, (name, ty)) in function.params.iter().enumerate() {
            self.text.push_str(if index == 0 { "" } else { ", " });
            let _ = write!(self.text, "{name}: ");
            self.value(*ty);
        }
        self.text.push(')');
        if let Some(result) = function.result {
            self.text.push_str(" -> ");
            self.value(result);
        }
    }

    fn value(&mut self, ty: ComponentValType) {
        if self.text.len() > LONGEST {
            return;
        }
        match ty {
            ComponentValType::Primitive(primitive) => {
                let _ = write!(self.text, "{primitive}");
            }
            ComponentValType::Type(id) => match self.names.get(&id) {
                Some(name) => self.text.push_str(name),
                None => self.definition(id),
            },
        }
    }

    fn definition(&mut self, id: ComponentDefinedTypeId) {
        let Some(ty) = self.types.get(id) else { return };
        match ty {
            ComponentDefinedType::Primitive(primitive) => {
                let _ = write!(self.text, "{primitive}");
            }
            ComponentDefinedType::Record(record) => {
                self.fields("record", record.fields.iter().map(|(name, ty)| (name.as_str(), Some(*ty))));
            }
            ComponentDefinedType::Variant(variant) => {
                self.fields("variant", variant.cases.iter().map(|(name, case)| (name.as_str(), case.ty)));
            }
            ComponentDefinedType::Flags(names) => {
                self.fields("flags", names.iter().map(|name| (name.as_str(), None)));
            }
            ComponentDefinedType::Enum(names) => {
                self.fields("enum", names.iter().map(|name| (name.as_str(), None)));
            }
            ComponentDefinedType::List { element, .. } => self.of("list", &[Some(*element)]),
            ComponentDefinedType::FixedLengthList { element, length, .. } => {
                self.of("list", &[Some(*element)]);
                let _ = write!(self.text, "[{length}]");
            }
            ComponentDefinedType::Map { key, value, .. } => self.of("map", &[Some(*key), Some(*value)]),
            ComponentDefinedType::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().map(|ty| Some(*ty)).collect();
                self.of("tuple", &types);
            }
            ComponentDefinedType::Option { ty, .. } => self.of("option", &[Some(*ty)]),
            ComponentDefinedType::Result { ok, err, .. } => self.of("result", &[*ok, *err]),
            ComponentDefinedType::Own(id) => {
                let name = name_of(self.resources, id.resource());
                self.text.push_str(name);
            }
            ComponentDefinedType::Borrow(id) => {
                let name = name_of(self.resources, id.resource());
                let _ = write!(self.text, "borrow<{name}>");
            }
            ComponentDefinedType::Future { ty, .. } => self.of("future", &[*ty]),
            ComponentDefinedType::Stream { ty, .. } => self.of("stream", &[*ty]),
        }
    }

    fn fields<'n>(&mut self, kind: &str, fields: impl Iterator<Item = (&'n str, Option<ComponentValType>)>) {
        let _ = write!(self.text, "{kind} {{ ");
        for (index, (name, ty)) in fields.enumerate() {
            if self.text.len() > LONGEST {
                break;
            }
            self.text.push_str(if index == 0 { "" } else { ", " });
            self.text.push_str(name);
            if let Some(ty) = ty {
                self.text.push_str(": ");
                self.value(ty);
            }
        }
        self.text.push_str(" }");
    }

    fn of(&mut self, kind: &str, types: &[Option<ComponentValType>]) {
        let _ = write!(self.text, "{kind}<");
        for (index, ty) in types.iter().enumerate() {
            self.text.push_str(if index == 0 { "" } else { ", " });
            match ty {
                Some(ty) => self.value(*ty),
                None => self.text.push('_'),
            }
        }
        self.text.push('>');
    }
}
