/** The form of `sallyport.config.yaml`: what a gateway is told besides its policy. One schema for loading and for errors. */
import { z } from "zod";

/** A secret is named, never written: files and environments are what secret stores can fill. */
const secret = z.union([z.strictObject({ file: z.string().min(1) }), z.strictObject({ env: z.string().min(1) })]);

const format = z.enum(["native", "ocsf", "ecs", "cef"]);
const kinds = z
  .array(z.enum(["connection", "dns", "flow_end", "detection", "tamper", "policy", "lifecycle"]))
  .min(1)
  .optional()
  .describe("Only events of these kinds. Left out: all.");

const common = {
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "a name is letters, digits, dots, dashes and underscores, at most 64")
    .describe("Names the sink in status, metrics and its cursor: a sink with another name begins at the first record."),
  kinds,
};

const http = {
  url: z
    .union([z.string().min(1), secret])
    .describe(
      "http:// or https://, without user and password; from a file or the environment where it is a secret itself.",
    ),
  headers: z.record(z.string(), secret).optional().describe("Headers with their values from files or the environment."),
  ca: z.string().min(1).optional().describe("PEM file: trust only these authorities."),
  certificate: z.string().min(1).optional().describe("PEM file: our own certificate, where the sink asks for one."),
  key: z.string().min(1).optional().describe("PEM file: its key."),
};

const file = z.strictObject({
  ...common,
  to: z.literal("file"),
  path: z
    .string()
    .min(1)
    .describe("Appended to; opened anew for each batch, so that it can be rotated by renaming it."),
  format: format.optional(),
});

const webhook = z.strictObject({ ...common, to: z.literal("webhook"), ...http, format: format.optional() });

const syslog = z.strictObject({
  ...common,
  to: z.literal("syslog"),
  address: z.string().min(1).describe("udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT."),
  facility: z
    .enum([
      "auth",
      "authpriv",
      "daemon",
      "local0",
      "local1",
      "local2",
      "local3",
      "local4",
      "local5",
      "local6",
      "local7",
    ])
    .optional()
    .describe("Left out: local0."),
  ca: http.ca,
  certificate: http.certificate,
  key: http.key,
  format: format.optional(),
});

const otlp = z.strictObject({ ...common, to: z.literal("otlp"), ...http });

const splunk = z.strictObject({
  ...common,
  to: z.literal("splunk"),
  url: http.url,
  token: secret.describe("The token of the HTTP Event Collector."),
  index: z.string().min(1).optional(),
  source: z.string().min(1).optional(),
  acknowledge: z
    .boolean()
    .optional()
    .describe("Ask the indexers whether they have it (the token must have it enabled)."),
  ca: http.ca,
  certificate: http.certificate,
  key: http.key,
  format: format.optional(),
});

const amount = z.union([z.string(), z.number()]);

const record = z
  .strictObject({
    sign_key: z
      .string()
      .min(1)
      .optional()
      .describe("File of the private key that signs seals and heads; relative to this file. As --sign-key."),
    segment_size: amount.optional().describe("A new segment is begun when this one would be larger. Left out: 64 MiB."),
    segment_age: amount.optional().describe("… or when its first record is older. Left out: 1d."),
    keep_for: amount.optional().describe("Segments closed longer ago are deleted: 90d. As --keep-for. Left out: none."),
    keep_size: amount
      .optional()
      .describe("The oldest segments are deleted beyond this: 10 GiB. As --keep-size. Left out: none."),
  })
  .describe("How the record is cut into segments, signed and kept. In force from the next start on.");

export const configSchema = z
  .strictObject({
    version: z.literal(1),
    metrics: z
      .union([z.number(), z.string()])
      .optional()
      .describe("[ADDRESS:]PORT for GET /metrics; on loopback where no address is given."),
    record: record.optional(),
    export: z.array(z.discriminatedUnion("to", [file, webhook, syslog, otlp, splunk])).optional(),
  })
  .describe("What a Sallyport gateway is told besides its policy.");

export type RawConfig = z.infer<typeof configSchema>;
export type RawSink = NonNullable<RawConfig["export"]>[number];
export type RawRecord = z.infer<typeof record>;
export type RawSecret = z.infer<typeof secret>;

/** What to write where there are several forms. */
export function configFormAt(path: readonly (string | number)[]): string | null {
  if (path.at(-1) === "to") return `Write one of: ${Object.keys(sinks).join(", ")}.`;
  if (path.at(-1) === "url")
    return "Write https://HOST[:PORT]/PATH, or { file: PATH } or { env: NAME } where it is a secret.";
  if (path[0] === "metrics") return "Write [ADDRESS:]PORT.";
  if (path[0] === "record")
    return path[1] === "keep_size" || path[1] === "segment_size" ? "Write 10 GiB." : "Write 90d.";
  return path[0] === "export" ? "Write { file: PATH } or { env: NAME }: secrets are named, not written here." : null;
}

const sinks = { file, webhook, syslog, otlp, splunk } as const;

/** The keys a map at `path` may have, for suggestions; `to` is what the sink at that place says. */
export function configKeysAt(path: readonly (string | number)[], to: unknown): string[] {
  if (path.length === 0) return Object.keys(configSchema.shape);
  if (path[0] === "record" && path.length === 1) return Object.keys(record.shape);
  if (path[0] !== "export" || path.length < 2) return [];
  if (path.length > 2) return path.at(-1) === "headers" ? [] : ["file", "env"];
  const known = typeof to === "string" && Object.hasOwn(sinks, to) ? sinks[to as keyof typeof sinks] : null;
  return known === null ? [] : Object.keys(known.shape);
}

/** JSON Schema of the file, for editors. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema);
}
