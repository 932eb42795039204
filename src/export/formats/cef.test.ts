/**
 * Promises: whatever is in an event, its CEF line is taken apart into exactly what was put in, by a reader written here from the
 * specification alone and by liblognorm, which is what rsyslog reads CEF with.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { temporary } from "../../audit/test-support.ts";
import { records } from "../testing/events.ts";
import { outgoing } from "../testing/record.ts";
import { cefOf } from "./cef.ts";
import { lineOf } from "./format.ts";
import { summaryOf } from "./severity.ts";

const many = { numRuns: 400 };

/** A reader of CEF 0 after ArcSight's specification: seven bars that are not escaped, then keys up to an equals sign that is not. */
function readCef(line: string): { header: string[]; extension: Map<string, string> } {
  const header: string[] = [];
  let at = 0;
  while (header.length < 7) {
    let field = "";
    while (line[at] !== "|") {
      assert.ok(at < line.length, "the header ends early");
      if (line[at] === "\\") at++;
      field += line[at++];
    }
    at++;
    header.push(field);
  }
  const extension = new Map<string, string>();
  const rest = line.slice(at);
  // A key is a word before an unescaped equals sign, at the start or after a space.
  const keys = [...rest.matchAll(/(?:^| )([A-Za-z0-9]+)=/g)].filter(({ index, 0: text }) => {
    let slashes = 0;
    for (let i = index + text.length - 2; rest[i] === "\\"; i--) slashes++;
    return slashes % 2 === 0;
  });
  for (const [i, key] of keys.entries()) {
    const raw = rest.slice(key.index + key[0].length, keys[i + 1]?.index);
    const value = raw.replaceAll(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c === "r" ? "\r" : c));
    assert.ok(!extension.has(key[1]!), `${key[1]} twice: ${line}`);
    extension.set(key[1]!, value);
  }
  return { header, extension };
}

/** What the writer is allowed to change in a text: controls become U+FFFD. */
const shown = (text: string) => text.toWellFormed().replaceAll(/[^\P{Cc}\r\n]|[\u2028\u2029]/gu, "\u{fffd}");

test("CEF: another reader gets back each field, and no field more", () => {
  fc.assert(
    fc.property(records, ({ event }) => {
      const { header, extension } = readCef(lineOf({ event, line: "", at: outgoing({}).at }, "cef"));
      assert.deepEqual(header.slice(0, 3), ["CEF:0", "Sallyport", "Sallyport"]);
      assert.match(header[6]!, /^\d$/);
      const expected: Record<string, string | number | null | undefined> = {
        act: event.verdict,
        cat: event.kind,
        cn1: event.seq,
        dhost: event.kind === "dns" ? undefined : event.destination?.name,
        cs5: event.kind === "dns" ? event.destination?.name : undefined,
        cs1: event.rule === undefined ? undefined : (event.rule.name ?? "default"),
        cs4: event.source?.group,
        cs6: event.dns?.qtype,
        sproc: event.process?.exe,
        spid: event.process?.pid,
        suser: event.process?.user,
        suid: event.process?.uid,
        msg: summaryOf(event),
      };
      for (const [key, value] of Object.entries(expected)) {
        const text = value === undefined || value === null || value === "" ? undefined : shown(String(value));
        assert.equal(extension.get(key), text, key);
      }
      const known =
        /^(rt|externalId|cat|act|reason|src|spt|sproc|spid|suser|suid|dst|dpt|dhost|app|out|in|cnt|start|end|deviceDirection|msg|(cs[1-6]|c6a[23]|cn1)(Label)?)$/;
      for (const key of extension.keys()) assert.match(key, known);
    }),
    many,
  );
});

interface Foreign {
  DeviceVendor: string;
  DeviceProduct: string;
  DeviceVersion: string;
  SignatureID: string;
  Name: string;
  Severity: string;
  Extensions: Record<string, string>;
}

/** What liblognorm's type `cef` makes of each line; null where it cannot read one. */
function readByLiblognorm(lines: readonly string[]): (Foreign | null)[] {
  const rules = join(temporary(), "cef.rulebase");
  writeFileSync(rules, "version=2\nrule=:%cef:cef%\n");
  const { stdout, stderr, error } = spawnSync("lognormalizer", ["-r", rules, "-e", "json"], {
    // Up to 2.0.6 it loses the first letter after the header's last bar if that is no space (liblognorm issue 363).
    input: lines.map((line) => `${line.replace(/^((?:[^\\|]|\\.)*\|){7}/u, "$& ")}\n`).join(""),
    encoding: "utf8",
  });
  assert.equal(error, undefined, "the Debian package liblognorm-utils is needed");
  const read = stdout.split("\n").slice(0, -1);
  assert.equal(read.length, lines.length, stderr);
  return read.map((line) => (JSON.parse(line) as { cef?: Foreign }).cef ?? null);
}

test("liblognorm reads each field as it was put in, and no field more", () => {
  const lines = fc.sample(records, 1_000).map(({ event }) => cefOf(event));
  const read = readByLiblognorm(lines);
  for (const [i, line] of lines.entries()) {
    const { header, extension } = readCef(line);
    const foreign = read[i]!;
    assert.notEqual(foreign, null, line);
    const { DeviceVendor, DeviceProduct, DeviceVersion, SignatureID, Name, Severity, Extensions } = foreign;
    assert.deepEqual([DeviceVendor, DeviceProduct, DeviceVersion, SignatureID, Name, Severity], header.slice(1), line);
    assert.deepEqual(Extensions, Object.fromEntries(extension), line);
  }
  // It would say so: an equals sign that is not escaped is no CEF.
  assert.deepEqual(readByLiblognorm([lines[0]!.replace("msg=", "msg=a\\\\=b ")]), [null]);
});
