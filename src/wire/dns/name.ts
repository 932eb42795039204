/**
 * Domain names as DNS carries them. A `WireName` is the uncompressed wire form (length octet, label, …, zero octet) as a
 * string of characters U+0000–U+00FF: one value for map keys and comparison in which labels can never run together,
 * whatever bytes they hold.
 *
 * A wire name is not a host name. A label may hold a dot, NUL or any other byte: joined with dots, the one label
 * `evil.example` and the two labels `evil`, `example` would look alike, and a policy would judge another name than the
 * one that is asked. `hostName` is the only way from here to the policy's names, and refuses everything that is not
 * letters, digits, hyphens and underscores.
 */
import { canonicalName } from "../../address/name.ts";
import type { Cursor } from "./cursor.ts";

declare const wireNameBrand: unique symbol;
export type WireName = string & { readonly [wireNameBrand]: true };

/** The root. */
export const root = "\0" as WireName;

const maxNameBytes = 255;

/** A name has at most 127 labels, so an honest compressor never needs more pointers than that. */
const maxPointers = 127;

/**
 * Reads a name at the cursor and moves it behind the name. Every compression pointer must point before the run of labels
 * it ends: each run then starts lower than the one before, so reading cannot loop (RFC 1035 section 4.1.4: "a prior
 * occurrence of the same name"). On a defect the cursor is marked and the root is returned.
 */
export function readName(cursor: Cursor, compression: "allowed" | "forbidden"): WireName {
  const { bytes } = cursor;
  let at = cursor.offset;
  let floor = at;
  let limit = cursor.end;
  let pointers = 0;
  let out = "";
  for (;;) {
    if (at >= limit) return fail(cursor, "truncated");
    const length = bytes[at]!;
    if (length === 0) {
      if (pointers === 0) cursor.offset = at + 1;
      return (out + "\0") as WireName;
    }
    if (length >= 0xc0) {
      if (compression === "forbidden") return fail(cursor, "pointer_forbidden");
      if (at + 1 >= limit) return fail(cursor, "truncated");
      const target = ((length & 0x3f) << 8) | bytes[at + 1]!;
      if (target < 12) return fail(cursor, "pointer_header");
      if (target >= floor) return fail(cursor, "pointer_forward");
      if (pointers === maxPointers) return fail(cursor, "pointer_limit");
      if (pointers === 0) cursor.offset = at + 2;
      pointers++;
      floor = target;
      at = target;
      limit = bytes.length;
      continue;
    }
    if (length > 63) return fail(cursor, "label_type");
    if (at + 1 + length > limit) return fail(cursor, "truncated");
    if (out.length + 1 + length + 1 > maxNameBytes) return fail(cursor, "name_too_long");
    for (let i = at; i <= at + length; i++) out += String.fromCharCode(bytes[i]!);
    at += 1 + length;
  }
}

function fail(cursor: Cursor, defect: Parameters<Cursor["fail"]>[0]): WireName {
  cursor.fail(defect);
  return root;
}

/** The labels, one character a byte, without the root's empty one. */
export function labelsOf(name: WireName): string[] {
  const labels: string[] = [];
  for (let at = 0; name.charCodeAt(at) > 0; at += 1 + name.charCodeAt(at)) {
    labels.push(name.slice(at + 1, at + 1 + name.charCodeAt(at)));
  }
  return labels;
}

/** The wire name of these labels (one character a byte); null where a label or the name is over-long or a label empty. */
export function fromLabels(labels: readonly string[]): WireName | null {
  let out = "";
  for (const label of labels) {
    if (label.length === 0 || label.length > 63) return null;
    for (let i = 0; i < label.length; i++) if (label.charCodeAt(i) > 255) return null;
    out += String.fromCharCode(label.length) + label;
  }
  return out.length + 1 > maxNameBytes ? null : ((out + "\0") as WireName);
}

/** The wire name of dotted text without escapes, such as a canonical host name; null where it is none. */
export function fromHostName(text: string): WireName | null {
  return text === "." ? root : fromLabels(text.replace(/\.$/, "").split("."));
}

/** The name without its first `count` labels. */
export function dropLabels(name: WireName, count: number): WireName {
  let at = 0;
  for (let i = 0; i < count && name.charCodeAt(at) > 0; i++) at += 1 + name.charCodeAt(at);
  return name.slice(at) as WireName;
}

/**
 * ASCII lower case, the form in which names are compared (RFC 4343). Length octets are at most 63 and so never letters;
 * bytes above 127 stay as they are.
 */
export function foldCase(name: WireName): WireName {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) as WireName;
}

const hostLabel = /^[A-Za-z0-9_-]+$/;

/** The canonical host name this wire name spells, or null: any label with another byte than a host name's, or the root. */
export function hostName(name: WireName): string | null {
  const labels = labelsOf(name);
  for (const label of labels) if (!hostLabel.test(label)) return null;
  const text = labels.join(".").toLowerCase();
  const canonical = canonicalName(text);
  // A canonical form that differs in more than case would be another name than the one asked.
  return canonical === text ? canonical : null;
}

/** Text for people and records (RFC 1035 section 5.1): dots and backslashes in labels escaped, other bytes as `\DDD`. */
export function formatName(name: WireName): string {
  if (name === root) return ".";
  return labelsOf(name).map(escapeLabel).join(".");
}

function escapeLabel(label: string): string {
  return label.replace(/[^!-~]|[.\\"();@$]/g, (char) => {
    const code = char.charCodeAt(0);
    return code > 0x20 && code < 0x7f ? `\\${char}` : `\\${String(code).padStart(3, "0")}`;
  });
}
