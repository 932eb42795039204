/**
 * Events as ArcSight's Common Event Format, version 0. Every text in an event may be an attacker's, so each is escaped for
 * the place it stands in: a bar ends a field of the header, an equals sign begins a key of the extension, a line break the
 * next event.
 */
import type { Event } from "../../audit/event.ts";
import { version } from "../../version.ts";
import { severityOf, summaryOf } from "./severity.ts";

const severities = { info: 1, low: 3, medium: 6, high: 9 } as const;

/** One event on one line. */
export function cefOf(event: Event): string {
  const { source, process, destination, rule, bytes, dns } = event;
  const header = [
    "CEF:0",
    "Sallyport",
    "Sallyport",
    version,
    event.reason ?? event.detection?.type ?? event.kind,
    `${event.kind.replace("_", " ")}${event.verdict === undefined ? "" : ` ${event.verdict.replace("_", " ")}`}`,
    String(severities[severityOf(event)]),
  ].map((field, i) => (i === 0 ? field : escapeHeader(field)));
  const isName = event.kind === "dns";
  const fields: [key: string, value: string | number | null | undefined][] = [
    ["rt", Date.parse(event.time)],
    ["externalId", event.id],
    ["cat", event.kind],
    ["act", event.verdict],
    ["reason", event.reason],
    ["src", v4(source?.ip)],
    ["spt", source?.port],
    ["sproc", process?.exe],
    ["spid", process?.pid],
    ["suser", process?.user],
    ["suid", process?.uid],
    ["dst", v4(destination?.ip)],
    ["dpt", destination?.port],
    ["dhost", isName ? undefined : destination?.name],
    ["app", destination?.protocol],
    ["out", bytes?.up],
    ["in", bytes?.down],
    ["cnt", event.count],
    ["start", event.first === undefined ? undefined : Date.parse(event.first)],
    ["end", event.last === undefined ? undefined : Date.parse(event.last)],
    ["deviceDirection", destination === undefined ? undefined : 1],
    ...labelled("cs1", "rule", rule === undefined ? undefined : (rule.name ?? "default")),
    ...labelled("cs2", "policy", rule?.policy),
    ...labelled("cs3", "stage", event.stage),
    ...labelled("cs4", "sourceGroup", source?.group),
    ...labelled("cs5", "question", isName ? destination?.name : undefined),
    ...labelled("cs6", "questionType", dns?.qtype),
    ...labelled("c6a2", "sourceIPv6", v6(source?.ip)),
    ...labelled("c6a3", "destinationIPv6", v6(destination?.ip)),
    ...labelled("cn1", "sequence", event.seq),
    ["msg", summaryOf(event)],
  ];
  const extension = fields
    .filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([key, value]) => `${key}=${escapeValue(String(value))}`);
  return `${header.join("|")}|${extension.join(" ")}`;
}

function labelled(key: string, label: string, value: string | number | null | undefined) {
  if (value === undefined || value === null || value === "") return [];
  return [
    [`${key}Label`, label],
    [key, value],
  ] as [string, string | number][];
}

const v4 = (ip: string | undefined) => (ip?.includes(":") === false ? ip : undefined);
const v6 = (ip: string | undefined) => (ip?.includes(":") === true ? ip : undefined);

/** Line breaks cannot be written in a header, and other control characters are for nobody. */
function escapeHeader(text: string): string {
  return clean(text)
    .replaceAll(/[\r\n]+/g, " ")
    .replaceAll(/[\\|]/g, String.raw`\$&`);
}

function escapeValue(text: string): string {
  return clean(text)
    .replaceAll(/[\\=]/g, String.raw`\$&`)
    .replaceAll("\r", String.raw`\r`)
    .replaceAll("\n", String.raw`\n`);
}

/** Well-formed, and without what some readers take for a line's end (U+0085, U+2028, U+2029) or that drives a terminal. */
function clean(text: string): string {
  return text.toWellFormed().replaceAll(/[^\P{Cc}\r\n]|[\u2028\u2029]/gu, "\u{fffd}");
}
