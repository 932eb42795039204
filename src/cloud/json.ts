/**
 * JSON that somebody else wrote (an AWS answer, a Terraform plan) as a value, and the line that a place in it is on. Reading never
 * throws: what is no JSON is a trouble with a line of its own. A place is a JSON pointer (RFC 6901), because that is what survives
 * re-formatting; lines are looked up at the end, for all findings of a file in one walk.
 */

/** One file, read. */
export interface JsonFile {
  readonly file: string;
  readonly text: string;
  readonly value: unknown;
}

/** Why a file or a part of it says nothing, and what to do. `pointer` is "" for the whole file. */
export interface Trouble {
  readonly file: string;
  readonly pointer: string;
  readonly message: string;
  readonly fix: string;
}

/** More than a plan of some thousand resources takes; more text than this is refused and not read half. */
const longest = 128 * 1024 * 1024;

/** The text of bytes as `aws` and `terraform` write them: UTF-8, or UTF-16 with a byte order mark, as PowerShell redirects it. */
export function decodeJson(bytes: Uint8Array): string {
  const [a, b] = bytes;
  const encoding = a === 0xff && b === 0xfe ? "utf-16le" : a === 0xfe && b === 0xff ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding).decode(bytes);
}

/** Reads one text; {@link isTrouble} tells the two answers apart. */
export function readJson(file: string, text: string): JsonFile | Trouble {
  const fix = "Give the file as `aws … --output json` or `terraform show -json` writes it.";
  if (text.length > longest) return { file, pointer: "", message: `has more than ${longest} characters`, fix };
  const plain = text.startsWith("\ufeff") ? text.slice(1) : text;
  try {
    return { file, text: plain, value: JSON.parse(plain) as unknown };
  } catch (error) {
    const why =
      error instanceof Error ? error.message.replaceAll(/[\p{Cc}\p{Cf}]+/gu, " ").slice(0, 200) : "unreadable";
    return { file, pointer: "", message: `is not JSON: ${why}`, fix };
  }
}

export function isTrouble(value: JsonFile | Trouble): value is Trouble {
  return "message" in value;
}

const mostTroubles = 50;

/** The first of them, and how many there were besides. */
export function bounded(troubles: readonly Trouble[]): Trouble[] {
  if (troubles.length <= mostTroubles) return [...troubles];
  const last = troubles[mostTroubles]!;
  return [
    ...troubles.slice(0, mostTroubles),
    { ...last, message: `and ${troubles.length - mostTroubles} more like it` },
  ];
}

/** One step deeper: `/` and `~` in keys are escaped (RFC 6901 section 3). */
export function pointerTo(pointer: string, key: string | number): string {
  return `${pointer}/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

interface Wanted {
  pointer: string | null;
  children: Map<string, Wanted>;
}

/** 1-based lines of the values at `pointers`, in one walk; what is not there has no entry. `text` must be valid JSON. */
export function linesOf(text: string, pointers: Iterable<string>): Map<string, number> {
  const root: Wanted = { pointer: null, children: new Map() };
  for (const pointer of pointers) {
    let node = root;
    for (const part of pointer.split("/").slice(1)) {
      const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
      let next = node.children.get(key);
      if (next === undefined) node.children.set(key, (next = { pointer: null, children: new Map() }));
      node = next;
    }
    node.pointer = pointer;
  }
  const found = new Map<string, number>();
  /** Open containers: what is wanted in them, and the index of the next element (null: an object). */
  const stack: { node: Wanted | undefined; index: number | null }[] = [];
  let next: Wanted | undefined = root;
  let line = 1;
  /** Whether the next string is a key. */
  let keyNext = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 10) line++;
    else if (code <= 32 || code === 58) continue;
    else if (code === 44) {
      const top = stack.at(-1);
      if (top?.index === null) keyNext = true;
      else if (top !== undefined) next = top.node?.children.get(String(++top.index));
    } else if (code === 125 || code === 93) {
      stack.pop();
      keyNext = false;
    } else if (code === 34 && keyNext) {
      const end = stringEnd(text, i);
      next = stack.at(-1)?.node?.children.get(keyOf(text, i, end));
      keyNext = false;
      i = end;
    } else {
      if (next !== undefined && next.pointer !== null) found.set(next.pointer, line);
      if (code === 123 || code === 91) {
        const index: number | null = code === 91 ? 0 : null;
        stack.push({ node: next, index });
        keyNext = index === null;
        next = index === null ? undefined : next?.children.get("0");
      } else if (code === 34) i = stringEnd(text, i);
      else while (i + 1 < text.length && !/[\s,\]}]/.test(text[i + 1]!)) i++;
    }
  }
  return found;
}

/** Where the string that begins at `from` has its closing quote. */
function stringEnd(text: string, from: number): number {
  let i = from + 1;
  while (i < text.length && text.charCodeAt(i) !== 34) i += text.charCodeAt(i) === 92 ? 2 : 1;
  return i;
}

function keyOf(text: string, from: number, end: number): string {
  const raw = text.slice(from + 1, end);
  return raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
}
