/** How reports name rules, verdicts and places, so that they all say it alike. */
import { formatAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import type { Decision, RuleRef } from "./decision.ts";

/** `“pypi” (sallyport.yaml:12)`, or `the default`. */
export function ruleText(rule: Pick<RuleRef, "name" | "line"> | null, file: string): string {
  return rule === null ? "the default" : `“${rule.name}” (${file}:${rule.line})`;
}

/** A verdict for people. */
export function verdictText(verdict: Decision["verdict"]): string {
  return verdict === "would_deny" ? "would deny" : verdict;
}

/** `pypi.org:443`, `[2001:db8::7]:443`, `pypi.org at 203.0.113.7, port 443`; without port for icmp. */
export function whereText(name: string | null, address: Address | null, port: number): string {
  const host = name ?? addressText(address!);
  const text = port === 0 ? host : `${host}:${port}`;
  return name !== null && address !== null ? `${text} at ${formatAddress(address)}` : text;
}

/** An address as endpoints write it: IPv6 in brackets. */
export function addressText(address: Address): string {
  return address.length === 4 ? formatAddress(address) : `[${formatAddress(address)}]`;
}

/** A day (UTC) or a time, as policies write them. */
export function timeText(time: number): string {
  const text = new Date(time).toISOString();
  return text.endsWith("T00:00:00.000Z") ? new Date(time - 1).toISOString().slice(0, 10) : text.replace(".000Z", "Z");
}

/** A YAML flow scalar: plain where that is certain to be read as this text. */
export function yamlText(text: string): string {
  const isPlain =
    /^[A-Za-z0-9][\w.:/ -]*$/.test(text) &&
    /[A-Za-z.]/.test(text) &&
    !/: |:$| $|^(?:true|false|null|yes|no|on|off)$|^[\d.+-]+(?:e\d+)?$|^0[xo]/i.test(text);
  return isPlain || isAddressText(text) ? text : JSON.stringify(text);
}

/** Dotted quads are no YAML numbers. */
function isAddressText(text: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+(?::\d+)?$/.test(text);
}

/** `1 rule`, `2 rules`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Columns padded to their widest cell; no spaces at line ends. */
export function columns(rows: readonly (readonly string[])[], indent = ""): string[] {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(all[i] ?? 0, cell.length)), []);
  return rows.map(
    (row) =>
      indent +
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
  );
}

/** Controls, marks that reorder text or have no width, ends of lines, halves of characters, and what fonts make up. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
const plainText = /^[ -~]*$/;

/** Text of strangers for a terminal, everything in it seen and nothing obeyed: `\u{1b}` for an escape character. */
export function printable(text: string): string {
  if (plainText.test(text)) return text;
  return text.replaceAll(unprintable, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}
