/** Finds what is configured for a path: the exact path first, else the longest prefix that ends with a segment. */

const SLASH = 0x2f;

interface Node<Value> {
  /** What stands between the parent and this node. */
  label: string;
  /** By the first character of their labels; `undefined`: none. */
  children: Map<number, Node<Value>> | undefined;
  /** For the path that ends here. */
  exact: Value | undefined;
  /** For the path that ends here, and for all that go on with a slash. */
  prefix: Value | undefined;
}

/**
 * A radix tree (Morrison, 1968, "PATRICIA"), built once for a configuration. A look-up costs the length of the path, however
 * many paths there are, and allocates nothing.
 */
export class PathTree<Value> {
  readonly #root: Node<Value> = leaf("");

  /** Returns whether it was added; `false`: the path is there already. */
  addExact(path: string, value: Value): boolean {
    const node = this.#nodeFor(path);
    if (node.exact !== undefined) return false;
    node.exact = value;
    return true;
  }

  /** @param path without the slash at its end: `""` for all paths */
  addPrefix(path: string, value: Value): boolean {
    const node = this.#nodeFor(path);
    if (node.prefix !== undefined) return false;
    node.prefix = value;
    return true;
  }

  /** @param end where the path ends in `text` */
  find(text: string, end = text.length): Value | undefined {
    let node = this.#root;
    let found = node.prefix;
    let at = 0;
    while (at < end) {
      const child = node.children?.get(text.charCodeAt(at));
      if (child === undefined || !text.startsWith(child.label, at)) return found;
      at += child.label.length;
      if (at > end) return found; // the label goes on in the query
      node = child;
      if (node.prefix !== undefined && (at === end || text.charCodeAt(at) === SLASH)) found = node.prefix;
    }
    return node.exact ?? found;
  }

  /** The node at which `path` ends; makes it where there is none. */
  #nodeFor(path: string): Node<Value> {
    let node = this.#root;
    let at = 0;
    while (at < path.length) {
      const children = node.children ??= new Map();
      const first = path.charCodeAt(at);
      const child = children.get(first);
      if (child === undefined) {
        const added = leaf<Value>(path.slice(at));
        children.set(first, added);
        return added;
      }
      const common = commonLength(child.label, path, at);
      node = common === child.label.length ? child : split(children, child, common);
      at += common;
    }
    return node;
  }
}

function leaf<Value>(label: string): Node<Value> {
  return { label, children: undefined, exact: undefined, prefix: undefined };
}

/** Puts a node in front of `child` that takes the first `length` characters of its label. */
function split<Value>(siblings: Map<number, Node<Value>>, child: Node<Value>, length: number): Node<Value> {
  const front = leaf<Value>(child.label.slice(0, length));
  siblings.set(front.label.charCodeAt(0), front);
  child.label = child.label.slice(length);
  front.children = new Map([[child.label.charCodeAt(0), child]]);
  return front;
}

function commonLength(label: string, path: string, at: number): number {
  let length = 0;
  while (length < label.length && label.charCodeAt(length) === path.charCodeAt(at + length)) length++;
  return length;
}
