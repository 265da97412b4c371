// A recording put together again.

/** The page that the events lead to, as `tag attributes text` without what is of no account here. */
export function played(events) {
  const nodes = new Map();
  let root;
  const put = (node, parent) => {
    const one = { ...node, attributes: { ...node.attributes }, children: [], parent };
    nodes.set(node.id, one);
    for (const child of node.childNodes ?? []) one.children.push(put(child, one));
    return one;
  };
  for (const { type, data } of events) {
    if (type === 2) root = put(data.node);
    if (type !== 3 || data.source !== 0) continue;
    for (const { id } of data.removes) {
      const one = nodes.get(id);
      one?.parent?.children.splice(one.parent.children.indexOf(one), 1);
    }
    const adds = [...data.adds];
    for (let rounds = adds.length + 1; adds.length && rounds--; ) {
      const { parentId, nextId, node } = adds.shift();
      const parent = nodes.get(parentId);
      const next = nextId && nodes.get(nextId);
      if (!parent || (nextId && next?.parent !== parent)) {
        adds.push({ parentId, nextId, node });
        continue;
      }
      parent.children.splice(nextId ? parent.children.indexOf(next) : parent.children.length, 0, put(node, parent));
    }
    for (const { id, value } of data.texts) if (nodes.has(id)) nodes.get(id).textContent = value;
    for (const { id, attributes } of data.attributes) if (nodes.has(id)) Object.assign(nodes.get(id).attributes, attributes);
  }
  const write = (one) =>
    one.type === 3 ? one.textContent.trim() : `<${one.tagName ?? "#"}${one.attributes.id ? " #" + one.attributes.id : ""}>${one.children.map(write).join("")}`;
  return write(root);
}
