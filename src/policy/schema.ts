/**
 * The shape of a policy file. The loader checks files against it, and editors' JSON Schema and `docs/policy-reference.md`
 * are generated from it, so every field is described here and nowhere else. What names mean and whether they exist is
 * `resolve.ts`'s concern.
 */
import { z } from "zod";
import { sizePattern } from "./size.ts";

const protocols = ["tls", "http", "ssh", "tcp", "udp", "quic", "icmp"] as const;

const portList = z
  .array(z.union([z.int().min(1).max(65535), z.literal("*")]))
  .min(1)
  .describe('Ports, for example `[443, 8443]`; `["*"]` for every port.');

const endpointList = z.array(z.string()).min(1);

const dateText = z
  .string()
  .describe("A date (`2027-01-31`, to the end of that day in UTC) or an RFC 3339 time (`2027-01-31T12:00:00Z`).");

const laterText = "Reserved: a policy that uses it does not load in this version.";

/** As many as a reader takes in; each is compared with every new connection. */
const maxListed = 64;

const oneOrMore = z.union([z.string(), z.array(z.string()).min(1)]);
const oneOrSome = z.union([z.string(), z.array(z.string()).min(1).max(maxListed)]);

const processShape = z
  .strictObject({
    step: oneOrSome.optional().describe("The job's step that it belongs to: the step's `id`, or a list of them."),
    action: oneOrSome
      .optional()
      .describe("The repository of the step's action, for example `actions/checkout`, or a list."),
    exe: oneOrSome
      .optional()
      .describe(
        "Absolute path of its executable, or a list. At the end `*` stands for the rest of a file's name, `/**` for all below a folder.",
      ),
  })
  .describe(
    "Asks for the process behind a connection; every key must hold. Known on the job's own machine alone: on a gateway an allow rule never matches by it, a deny rule always.",
  );

const source = z
  .strictObject({
    subnets: z
      .array(z.string())
      .min(1)
      .optional()
      .describe("CIDR prefixes or addresses, IPv4 or IPv6, for example `[10.20.1.0/24]`."),
    tags: z.record(z.string(), z.string()).optional().describe(laterText),
    github: z.record(z.string(), z.unknown()).optional().describe(laterText),
    kubernetes: z.record(z.string(), z.unknown()).optional().describe(laterText),
    process: processShape.optional(),
  })
  .describe("One group of runners or of processes; where both are asked for, both must hold.");

const destination = z
  .union([
    endpointList.describe("Endpoints: `host`, `host:port`, `host:port,port`, `host:*`, or a CIDR prefix with ports."),
    z.strictObject({
      hosts: endpointList.optional().describe("Host names or patterns, each with optional ports."),
      cidrs: endpointList.optional().describe("CIDR prefixes or addresses, each with optional ports."),
      ports: portList.optional().describe("Ports of every entry above that names none of its own."),
    }),
    z.strictObject({
      preset: z
        .string()
        .describe("Name and version of a built-in list, for example `github-actions@1`; a version never changes."),
    }),
  ])
  .describe("One group of endpoints.");

const inlineSource = z.strictObject({ process: processShape });

const rule = z
  .strictObject({
    name: z.string().min(1).max(200).describe("Unique in the file; shown in every event, report and error."),
    from: z
      .union([z.string(), inlineSource, z.array(z.union([z.string(), inlineSource])).min(1)])
      .optional()
      .describe(
        "Names of sources, CIDR prefixes, or `{ process: … }` with the keys of a source's `process`. Left out: every source.",
      ),
    to: oneOrMore.describe("Names of destinations, or endpoints. `**` is any name."),
    ports: portList.optional().describe("Ports for endpoints that name none. Left out: 443."),
    protocol: z
      .enum(protocols)
      .optional()
      .describe(
        "What the first bytes must be. By port: 443 tls, 80 http, 22 ssh; any other port needs it. `tcp` and `udp` are opaque: only DNS vouches for the name.",
      ),
    action: z.enum(["allow", "deny"]).optional().describe("Left out: allow."),
    mode: z
      .enum(["enforce", "monitor"])
      .optional()
      .describe("A monitor rule is recorded when it matches, and evaluation goes on. Left out: enforce."),
    monitor_until: dateText.optional().describe("Monitor until then, enforce afterwards. A date or an RFC 3339 time."),
    ech: z
      .enum(["allow", "deny"])
      .optional()
      .describe(
        "What an allow rule makes of a hello with Encrypted Client Hello. Left out: deny where the name shown is on a front that many tenants share, else allow. Browsers send the extension everywhere, without meaning.",
      ),
    http: z.unknown().optional().describe(laterText),
    upload_limit: z
      .string()
      .optional()
      .describe(
        "How much one source (IPv6: its /64) may send under the rule in an hour, over all its connections: `500 kB`, `10 MB`, `1 GiB`. Past it connections are ended and new ones refused until the hour has passed.",
      )
      // For editors; the loader says what is wrong in words of its own.
      .meta({ pattern: sizePattern.source }),
    reason: z.string().max(500).optional().describe("Why the rule is there; shown with its decisions."),
    owner: z.string().max(200).optional().describe("Who answers for the rule."),
    expires: dateText
      .optional()
      .describe("The rule stops applying then. A date (to the end of that day, UTC) or a time."),
  })
  .describe("One rule. The first that matches in its tier decides.");

/** The schema of a whole policy file. */
export const policySchema = z
  .strictObject({
    version: z.literal(1).describe("The language's version: 1."),
    sources: z.record(z.string(), source).optional().describe("Who: named groups of source addresses."),
    destinations: z.record(z.string(), destination).optional().describe("Where to: named groups of endpoints."),
    permits: z.array(rule).optional().describe("Tier 1: rules that come before all others."),
    rules: z.array(rule).optional().describe("Tier 2: rules per source, in order."),
    default: z
      .strictObject({
        mode: z
          .enum(["monitor", "enforce"])
          .optional()
          .describe("Whether what no rule allows is refused or only recorded. Left out: enforce."),
        enforce_for: z
          .array(z.string())
          .optional()
          .describe("Names of sources for which the default is enforced although the mode is monitor."),
      })
      .optional()
      .describe("Tier 3: always deny; only its mode is yours."),
  })
  .describe("A Sallyport policy.");

export type RawPolicy = z.infer<typeof policySchema>;
export type RawRule = z.infer<typeof rule>;
export type RawDestination = z.infer<typeof destination>;
export type RawSource = z.infer<typeof source>;
export type RawProcess = z.infer<typeof processShape>;
export type RawFrom = NonNullable<RawRule["from"]>;

/** The keys a map at `path` may have, for suggestions; empty where any key may stand. */
export function keysAt(path: readonly (string | number)[]): string[] {
  const [section, , field] = path;
  if (path.length > 2 && path.at(-1) === "process") return Object.keys(processShape.shape);
  if (path.length === 0) return Object.keys(policySchema.shape);
  if (section === "default") return ["mode", "enforce_for"];
  if ((section === "rules" || section === "permits") && field === undefined) return Object.keys(rule.shape);
  if (field === "from") return Object.keys(inlineSource.shape);
  if (section === "sources" && path.length === 2) return Object.keys(source.shape);
  if (section === "destinations" && path.length === 2) return ["hosts", "cidrs", "ports", "preset"];
  return [];
}

/** JSON Schema (draft 2020-12) of a policy file, for editors. */
export function policyJsonSchema(): object {
  return z.toJSONSchema(policySchema, { target: "draft-2020-12" });
}
