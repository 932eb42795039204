/**
 * `sallyport.config.yaml`, loaded: everything in it checked, with the place and the fix of what is wrong, and its secrets
 * read. Whatever does not load is an error at the start, not a sink that silently gets nothing.
 */
import { readFileSync } from "node:fs";
import { isAbsolute, dirname, join, resolve } from "node:path";
import { loadSigningKey } from "../audit/key.ts";
import type { SigningKey } from "../audit/signature.ts";
import { parseMetricsAddress, type MetricsAddress } from "./metrics-address.ts";
import { SallyportError } from "../errors.ts";
import { readDocument, type Document } from "../policy/document.ts";
import { reportIssue } from "../policy/misfit.ts";
import { formatProblem, Problems, type Problem } from "../policy/problem.ts";
import { checkRecord, type RecordConfig } from "./record.ts";
import { configFormAt, configKeysAt, configSchema, type RawConfig, type RawSink } from "./schema.ts";
import { checkSink, type SinkConfig } from "./sink.ts";

export interface Config {
  file: string;
  /** Where to serve metrics over TCP; null: nowhere. */
  metrics: MetricsAddress | null;
  record: RecordConfig;
  sinks: SinkConfig[];
}

/** Where secrets and certificates come from: files are read as they are named, variables by name. */
export interface Secrets {
  /** Reads the private key that signs the record; throws KEY_UNUSABLE. */
  signingKey: (path: string) => { file: string; key: SigningKey };
  readFile: (path: string) => string;
  variable: (name: string) => string | undefined;
}

/**
 * Reads and checks a configuration file; throws CONFIG_UNREADABLE, or CONFIG_INVALID with every problem in `data.problems`.
 * `variable` reads the environment.
 */
export function loadConfigFile(file: string, variable: Secrets["variable"] = (name) => process.env[name]): Config {
  const path = resolve(file);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new SallyportError("CONFIG_UNREADABLE", `${path}: ${(error as Error).message}`, { file: path }, error);
  }
  const place = (name: string) => (isAbsolute(name) ? name : join(dirname(path), name));
  const config = loadConfig(text, path, {
    readFile: (name) => readFileSync(place(name), "utf8"),
    signingKey: (name) => ({ file: place(name), key: loadSigningKey(place(name)) }),
    variable,
  });
  if (!("problems" in config)) return config;
  const list = config.problems.map(formatProblem).join("\n");
  // Without the text that stands there: it may be the secret that must not.
  const problems = config.problems.map((problem) => ({ ...problem, text: "" }));
  throw new SallyportError("CONFIG_INVALID", `The configuration does not load.\n${list}`, { problems });
}

/** Checks a configuration's text. `file` is for messages. Never throws, whatever the text. */
export function loadConfig(text: string, file: string, secrets: Secrets): Config | { problems: Problem[] } {
  const problems = new Problems(file);
  const document = readDocument(text, problems);
  if (document === null) return { problems: problems.list };
  const checked = configSchema.safeParse(document.value);
  if (!checked.success) {
    for (const issue of checked.error.issues) {
      const keysAt = (path: readonly (string | number)[]) => configKeysAt(path, toOf(document.value, path));
      reportIssue(issue, [], { document, problems, keysAt, formAt: configFormAt, reference: "docs/export.md" });
    }
    return { problems: problems.list };
  }
  const config = resolveConfig(checked.data, file, { document, problems, secrets });
  return problems.count === 0 ? config : { problems: problems.list };
}

function resolveConfig(
  raw: RawConfig,
  file: string,
  context: { document: Document; problems: Problems; secrets: Secrets },
): Config {
  const { document, problems } = context;
  let metrics: MetricsAddress | null = null;
  if (raw.metrics !== undefined) {
    try {
      metrics = parseMetricsAddress(String(raw.metrics));
    } catch (error) {
      const place = () => document.place(["metrics"]);
      problems.add("bad_address", place, (error as Error).message.replace(/\.$/, ""), "Write [ADDRESS:]PORT.");
    }
  }
  const seen = new Set<string>();
  const sinks = (raw.export ?? []).map((sink, i) => {
    // Names are file names too: two that differ in case only would be one cursor on some file systems.
    const name = sink.name.toLowerCase();
    if (seen.has(name)) {
      const place = () => document.place(["export", i, "name"]);
      problems.add("duplicate_name", place, `two sinks are called “${sink.name}”`, "Rename one of them.");
    }
    seen.add(name);
    return checkSink(sink, ["export", i], context);
  });
  const record = checkRecord(raw.record, { document, problems, signingKey: context.secrets.signingKey });
  return { file, metrics, record, sinks: sinks.filter((sink) => sink !== null) };
}

/** What the sink at a path says it is. */
function toOf(value: unknown, [section, entry]: readonly (string | number)[]): unknown {
  if (section !== "export" || typeof entry !== "number") return undefined;
  const list = (value as { export?: unknown }).export;
  const sink: unknown = Array.isArray(list) ? list[entry] : undefined;
  return typeof sink === "object" && sink !== null ? (sink as Partial<RawSink>).to : undefined;
}
