/** Splits the text of a list or an object in JSON with comments into items with their comments, and joins it again. */

import type { Node } from "jsonc-parser";

/** An item of a list, or a property of an object, with the text around it that moves with it. */
export interface Item {
  readonly node: Node;
  /**
   * The lines between the line of the previous item and this one's: comments and blank lines, each with the line break
   * before it.
   */
  readonly above: string;
  /** From the line break before the item up to the item. */
  readonly before: string;
  readonly text: string;
  /** From the item to its comma, or to the place for a comma. */
  readonly between: string;
  /** From there to the end of the line, if the line ends before the next item. */
  readonly after: string;
  readonly isFirst: boolean;
}

/** A list or an object. Its parts, joined in this order, are its text. */
export interface List {
  readonly open: string;
  /** The rest of the first line, if the items begin on another line. */
  readonly head: string;
  readonly items: readonly Item[];
  readonly tail: string;
  readonly close: string;
  readonly trailingComma: boolean;
}

/** How to lay out a list that has no items to show it. */
interface Layout {
  readonly lineBreak: string;
  readonly multiline: boolean;
  readonly indent: string;
  readonly closing: string;
}

/** The pieces of a gap between two items: each comment is one piece, and each other character. */
const GAP_PIECES = /\/\/[^\r\n]*|\/\*[^]*?\*\/|\r\n|[^]/g;

/** Splits the text of a list or an object into its items, each with the comments that belong to it. */
export function splitList(text: string, node: Node): List {
  const end = node.offset + node.length - 1;
  const children = node.children ?? [];
  const starts = [node.offset + 1, ...children.map(({ offset, length }) => offset + length)];
  const gaps = starts.map((start, index) =>
    splitGap(text.slice(start, children[index]?.offset ?? end), index, children)
  );
  const items = children.map((child, index): Item => ({
    node: child,
    above: gaps[index]?.above ?? "",
    before: gaps[index]?.before ?? "",
    text: text.slice(child.offset, child.offset + child.length),
    between: gaps[index + 1]?.between ?? "",
    after: gaps[index + 1]?.sameLine ?? "",
    isFirst: index === 0,
  }));
  const last = gaps.at(-1);
  return {
    open: text.slice(node.offset, node.offset + 1),
    head: gaps[0]?.sameLine ?? "",
    items,
    tail: last === undefined ? "" : last.above + last.before,
    close: text.slice(end, end + 1),
    trailingComma: last?.hasComma ?? false,
  };
}

/** Divides the text between two items, or between an item and a bracket, among them. */
function splitGap(gap: string, index: number, children: readonly Node[]) {
  const pieces = [...gap.matchAll(GAP_PIECES)];
  const comma = pieces.find(([piece]) => piece === ",")?.index;
  const start = comma === undefined ? 0 : comma + 1;
  const breaks = pieces.filter(({ 0: piece, index }) => index >= start && /^[\r\n]/.test(piece)).map(({ index }) =>
    index
  );
  // Without a line break, the text after the comma belongs to the next item, if there is one.
  const isLast = index === children.length;
  const lineEnd = breaks[0] ?? (isLast ? Math.max(start, gap.trimEnd().length) : start);
  // There, a comment after an item stays with the item only if the comma comes after it.
  const betweenEnd = comma ?? (isLast && index > 0 && breaks.length === 0 ? lineEnd : 0);
  const lastBreak = breaks.at(-1) ?? lineEnd;
  return {
    between: gap.slice(0, betweenEnd),
    hasComma: comma !== undefined,
    sameLine: gap.slice(Math.max(start, betweenEnd), lineEnd),
    above: gap.slice(lineEnd, lastBreak),
    before: gap.slice(lastBreak),
  };
}

/** The indentation of an item that begins a line. */
export function indentOf({ before }: Item): string | undefined {
  return /^(?:\r\n|[\r\n])([ \t]*)/.exec(before)?.[1];
}

/** The text of a list with these items. Items given as text are new. */
export function joinList(list: List, items: readonly (Item | string)[], layout: Layout): string {
  const isEmptied = list.items.length > 0 && items.length === 0 && (list.head + list.tail).trim() === "";
  if (isEmptied) return list.open + list.close;
  const indent = list.items.map(indentOf).findLast((found) => found !== undefined);
  const isMultiline = list.items.length === 0 ? layout.multiline : indent !== undefined;
  const ownLine = layout.lineBreak + (indent ?? layout.indent);
  const padding = list.open === "{" ? " " : "";
  const newBefore = (index: number) => {
    if (isMultiline) return ownLine;
    const model = list.items[Math.min(index, 1)]?.before;
    return model !== undefined && isBlank(model) ? model : index === 0 ? padding : " ";
  };
  const text = new CommentedText(list.open, ownLine);
  text.addGap(list.head);
  for (const [index, item] of items.entries()) {
    const comma = index < items.length - 1 || list.trailingComma ? "," : "";
    if (typeof item === "string") {
      text.addGap(newBefore(index));
      text.add(item + comma);
    } else {
      text.addGap(item.above);
      // A first item on the line of its bracket has different space before it than the others.
      text.addGap(item.isFirst !== (index === 0) && isBlank(item.before) ? newBefore(index) : item.before);
      text.add(item.text);
      text.addGap(item.between);
      text.add(comma);
      text.addGap(item.after);
    }
  }
  const isFilled = list.items.length === 0 && items.length > 0 && isBlank(list.tail);
  text.addGap(isFilled ? (isMultiline ? layout.lineBreak + layout.closing : padding) : list.tail);
  text.add(list.close);
  return text.value;
}

/** Whether it is empty, or only space within a line. */
function isBlank(gap: string): boolean {
  return /^[ \t]*$/.test(gap);
}

/** Joins text so that nothing from another line ends up in a comment. */
class CommentedText {
  value: string;
  readonly #ownLine: string;
  #inLineComment = false;

  /** @param ownLine what a new line begins with */
  constructor(start: string, ownLine: string) {
    this.value = start;
    this.#ownLine = ownLine;
  }

  /** Adds text that does not end in a comment. */
  add(text: string): void {
    if (text === "") return;
    if (this.#inLineComment && !/^[\r\n]/.test(text)) this.value += this.#ownLine;
    this.value += text;
    this.#inLineComment = false;
  }

  /** Adds space and comments. */
  addGap(gap: string): void {
    this.add(gap);
    if (gap !== "") this.#inLineComment = gap.match(GAP_PIECES)?.at(-1)?.startsWith("//") ?? false;
  }
}
