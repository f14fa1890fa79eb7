//! Makes definitions: any mix of blocks, loops in loops, and what can go wrong in them.

use serde_json::{Map, Value, json};

use super::Case;

/// A sequence of numbers, the same for the same seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % sides
    }

    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// An output that later nodes may take.
#[derive(Clone)]
struct Source {
    node: String,
    port: &'static str,
    /// Whether a `foreach` may take it.
    listed: bool,
    /// Loops around it.
    level: usize,
}

struct Maker {
    dice: Dice,
    nodes: Vec<Value>,
    edges: Vec<Value>,
    /// Whether there are model nodes, on a photograph.
    models: bool,
}

/// Most nodes of a definition, about.
const NODES: usize = 28;

/// The case of a seed. `models`: with model nodes, for a run with a photograph.
pub(super) fn case(seed: u64, models: bool) -> Case {
    let dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut maker = Maker { dice, nodes: Vec::new(), edges: Vec::new(), models };
    if models {
        maker.nodes.push(json!({"id": "photo", "type": "image_input"}));
    }
    let mut visible = Vec::new();
    let mut input = Map::new();
    for name in ["one", "two"] {
        let length = maker.dice.below(5);
        input.insert(name.to_owned(), (0..length).map(|_| maker.item(2)).collect());
        let node = maker.add("echo", json!({}));
        maker.nodes.last_mut().expect("a node")["inputs"] = json!({"value": format!("$inputs.{name}")});
        visible.push(Source { node, port: "value", listed: true, level: 0 });
    }
    maker.scope(&mut visible, 0);
    let outputs = maker.outputs(&visible);
    let Maker { nodes, edges, .. } = maker;
    Case { definition: json!({"nodes": nodes, "edges": edges, "outputs": outputs}), input: Value::Object(input) }
}

impl Maker {
    fn item(&mut self, depth: usize) -> Value {
        match self.dice.below(12) {
            0 => Value::Null,
            1..=3 if depth > 0 => {
                let length = self.dice.below(4);
                (0..length).map(|_| self.item(depth - 1)).collect()
            }
            _ => json!(self.dice.below(5)),
        }
    }

    fn add(&mut self, kind: &str, config: Value) -> String {
        let id = format!("{}{}", &kind[..1], self.nodes.len());
        let mut node = json!({"id": id, "type": kind, "config": config});
        if self.dice.percent(12) {
            node["on_error"] = json!("continue");
        }
        self.nodes.push(node);
        id
    }

    /// Feeds a port of the last node, by an edge or by a reference.
    fn feed(&mut self, source: &Source, port: &str) {
        if self.dice.percent(20) {
            let Source { node, port: output, .. } = source;
            self.nodes.last_mut().expect("a node")["inputs"][port] = json!(format!("$nodes.{node}.{output}"));
            return;
        }
        self.wire(source, port);
    }

    fn wire(&mut self, source: &Source, port: &str) {
        let Source { node, port: output, .. } = source;
        let last = self.nodes.last().expect("a node");
        self.edges.push(json!({"source": node, "sourceHandle": output, "target": last["id"], "targetHandle": port}));
    }

    /// One of the scope at hand, mostly.
    fn own(&mut self, visible: &[Source], depth: usize) -> Source {
        let own: Vec<Source> = visible.iter().filter(|source| source.level == depth).cloned().collect();
        if own.is_empty() || self.dice.percent(20) { self.pick(visible) } else { self.pick(&own) }
    }

    /// One of those that can be seen, mostly a new one.
    fn pick(&mut self, visible: &[Source]) -> Source {
        let near = if self.dice.percent(70) { visible.len().min(5) } else { visible.len() };
        visible[visible.len() - 1 - self.dice.below(near)].clone()
    }

    /// A few nodes that see `visible`, which is then longer.
    fn scope(&mut self, visible: &mut Vec<Source>, depth: usize) {
        for _ in 0..=1 + self.dice.below(4) {
            if self.nodes.len() > NODES {
                return;
            }
            if self.models && self.dice.percent(50) {
                self.detection(visible, depth);
                continue;
            }
            match self.dice.below(12) {
                0 => self.plain(visible, depth, "number", "number"),
                1 | 2 => self.plain(visible, depth, "echo", "value"),
                3 => self.plain(visible, depth, "add", "value"),
                4 => self.plain(visible, depth, "fail_if", "value"),
                5 => self.plain(visible, depth, "range", "items"),
                6 => self.branches(visible, depth, "condition", &["true_output", "false_output"]),
                7 => self.branches(visible, depth, "switch", &["zero", "one", "default"]),
                8 => self.list(visible, depth),
                _ if depth < 4 => self.repeat(visible, depth),
                _ => self.plain(visible, depth, "fail_if", "value"),
            }
        }
    }

    fn plain(&mut self, visible: &mut Vec<Source>, depth: usize, kind: &str, port: &'static str) {
        let is = json!({"is": self.dice.below(6)});
        let source = self.own(visible, depth);
        let mut level = if kind == "number" { 0 } else { source.level };
        let config = match kind {
            "number" | "fail_if" => is,
            "echo" if level > 0 && self.dice.percent(15) => json!({"text": "{{ index }} of {{ total }}"}),
            _ => json!({}),
        };
        let node = self.add(kind, config);
        if kind != "number" {
            self.feed(&source, "value");
        }
        if matches!(kind, "echo" | "add") && self.dice.percent(30) {
            let extra = self.pick(visible);
            self.feed(&extra, "extra");
            level = level.max(extra.level);
        }
        visible.push(Source { node, port, listed: matches!(kind, "echo" | "fail_if" | "range"), level });
    }

    /// A model node that finds as many things as another node says, which always runs.
    fn detection(&mut self, visible: &mut Vec<Source>, depth: usize) {
        let Source { node: from, port, level, .. } = self.own(visible, depth);
        self.nodes.push(json!({"id": format!("d{}", self.nodes.len()), "type": "digit",
            "inputs": {"value": 1, "extra": format!("$nodes.{from}.{port}")}}));
        let digit = self.nodes.last().expect("a node")["id"].as_str().expect("an id").to_owned();
        let confidence = format!("{{{{ nodes.{digit}.value / 100 }}}}");
        let node = self.add("detection", json!({"model_id": "finder", "confidence": confidence}));
        self.nodes.last_mut().expect("a node")["inputs"] = json!({"image": "$nodes.photo.image"});
        visible.push(Source { node, port: "count", listed: false, level });
    }

    /// A decision, nodes on some of its branches, and mostly a join.
    fn branches(&mut self, visible: &mut Vec<Source>, depth: usize, kind: &str, ports: &[&'static str]) {
        let value = self.dice.below(4);
        let config = match kind {
            "condition" => json!({"value": value}),
            _ => json!({"cases": [{"name": "zero", "value": 0}, {"name": "one", "value": 1}]}),
        };
        let source = self.own(visible, depth);
        let level = source.level;
        let decision = self.add(kind, config);
        self.feed(&source, "value");
        if kind == "condition" {
            visible.push(Source { node: decision.clone(), port: "result", listed: false, level });
        }
        let mut ends = Vec::new();
        for &port in ports {
            let mut end = Source { node: decision.clone(), port, listed: true, level };
            if kind == "condition" && self.dice.percent(15) {
                let node = self.add("echo", json!({}));
                let side = if port == "true_output" { "true" } else { "false" };
                let edge = json!({"source": decision, "sourceHandle": "passed", "condition": side, "target": node, "targetHandle": "value"});
                self.edges.push(edge);
                end = Source { node, port: "value", listed: true, level };
            } else if self.dice.percent(70) {
                let block = if self.dice.percent(30) { "fail_if" } else { "echo" };
                let node = self.add(block, json!({}));
                self.wire(&end, "value");
                end = Source { node, port: "value", listed: true, level };
            }
            ends.push(end);
        }
        if self.dice.percent(60) {
            let node = self.add("echo", json!({}));
            ends.iter().for_each(|end| self.wire(end, "value"));
            ends.push(Source { node, port: "value", listed: true, level });
        }
        visible.extend(ends);
    }

    fn list(&mut self, visible: &mut Vec<Source>, depth: usize) {
        let sources: Vec<Source> = (0..=self.dice.below(3)).map(|_| self.own(visible, depth)).collect();
        let node = self.add("list", json!({}));
        sources.iter().for_each(|source| self.wire(source, "items"));
        let level = sources.iter().map(|source| source.level).max().unwrap_or_default();
        visible.push(Source { node, port: "items", listed: true, level });
    }

    /// A loop with its body, and mostly collects.
    fn repeat(&mut self, visible: &mut Vec<Source>, depth: usize) {
        let lists: Vec<Source> =
            visible.iter().filter(|source| source.listed && source.level == depth).cloned().collect();
        if lists.is_empty() {
            return self.plain(visible, depth, "range", "items");
        }
        let source = self.pick(&lists);
        let mut config = Map::new();
        for (percent, key, value) in [
            (50, "on_error", json!("skip")),
            (15, "iteration_mode", json!("sequential")),
            (20, "max_concurrency", json!(1 + self.dice.below(3))),
            (12, "start_index", json!(self.dice.below(4))),
            (12, "max_items", json!(self.dice.below(3))),
        ] {
            if self.dice.percent(percent) {
                config.insert(key.to_owned(), value);
            }
        }
        let node = self.add("foreach", Value::Object(config));
        self.feed(&source, "items");
        if self.dice.percent(15) {
            let context = self.pick(visible);
            self.wire(&context, "context");
        }
        let mut inside = visible.clone();
        for port in ["context", "total", "index", "item"] {
            inside.push(Source {
                node: node.clone(),
                port,
                listed: matches!(port, "item" | "context"),
                level: depth + 1,
            });
        }
        self.scope(&mut inside, depth + 1);
        let of_body: Vec<Source> = inside.iter().filter(|source| source.level == depth + 1).cloned().collect();
        for _ in 0..[1, 1, 1, 2, 2, 0][self.dice.below(6)] {
            let mut taken: Vec<Source> = (0..=self.dice.below(3) / 2).map(|_| self.pick(&of_body)).collect();
            if self.dice.percent(10) {
                taken.push(self.pick(&inside));
            }
            let mut config = Map::new();
            for key in ["flatten", "filter_nulls", "unique"] {
                if self.dice.percent(20) {
                    config.insert(key.to_owned(), json!(true));
                }
            }
            let node = self.add("collect", Value::Object(config));
            match taken.as_slice() {
                [only] => self.feed(only, "item"),
                several => several.iter().for_each(|source| self.wire(source, "item")),
            }
            for port in ["indexes", "count", "results"] {
                visible.push(Source { node: node.clone(), port, listed: port != "count", level: depth });
            }
        }
    }

    fn outputs(&mut self, visible: &[Source]) -> Vec<Value> {
        if !self.models && self.dice.percent(50) {
            return Vec::new();
        }
        let mut outputs = Vec::new();
        for at in 0..=self.dice.below(5) {
            let node = self.nodes[self.dice.below(self.nodes.len())].clone();
            let id = node["id"].as_str().expect("an id");
            let source = match node["type"].as_str().expect("a type") {
                "detection" => format!("$nodes.{id}.count"),
                "image_input" => format!("$nodes.{id}.width"),
                _ if self.dice.percent(25) => format!("$nodes.{id}.*"),
                "foreach" => format!("$nodes.{id}.item"),
                "collect" => format!("$nodes.{id}.{}", ["results", "errors", "indexes"][self.dice.below(3)]),
                "condition" => format!("$nodes.{id}.true_output"),
                "switch" => format!("$nodes.{id}.default"),
                "number" => format!("$nodes.{id}.number"),
                "list" | "range" => format!("$nodes.{id}.items"),
                _ => format!("$nodes.{id}.value"),
            };
            outputs.push(json!({"name": format!("o{at}"), "source": source}));
        }
        let Source { node, port, .. } = self.pick(visible);
        outputs.push(json!({"name": "last", "source": format!("$nodes.{node}.{port}")}));
        outputs
    }
}
