/**
 * Many names of one kind as one pattern, where that opens nothing to a stranger. What a pattern lets in beyond the names seen
 * must belong to whoever owns those, so nothing is folded
 *
 * - where the label that varies is the one that people register: below a public suffix, both sections of the Public Suffix
 *   List (`example.com`; `d111.cloudfront.net`, `bucket.s3.amazonaws.com`, `account.blob.core.windows.net`, `user.github.io`);
 * - anywhere below a zone that hands names to customers and is not, or not wholly, on that list (`tenants` below, known fronts
 *   and sinks): `a.b.s3.amazonaws.com` is a bucket of its own, `123.dkr.ecr.us-east-1.amazonaws.com` another's registry.
 *
 * What remains are numbered hosts of one owner (`shard3.cdn.example.com`), folded into the numbers seen, small gaps filled where
 * the zone is one below the owner's domain; and, only when asked, random-looking ones (`d3a4b5c6.cdn.example.com`), folded into a
 * star. More names never make a pattern narrower, so that more data changes no more than it must. A list of zones is never
 * complete: every fold is shown for review.
 */
import { matchesPattern, parsePattern, isPatternDefect, decimal } from "../address/pattern.ts";
import { registrableDomain } from "../address/suffix.ts";
import { encodedBits } from "../detect/encoded.ts";
import { presetHosts, presets } from "../policy/presets.ts";
import { entryFor, fronts, sinks } from "../policy/sinks.ts";

/** Names under one pattern. */
export interface Fold {
  pattern: string;
  names: string[];
  how: "preset" | "numbers" | "star";
}

/** Numbers are folded from this many on, random labels from that many. */
const leastNumbers = 3;
const leastRandom = 5;
/** Numbers seen this far apart or less are joined to a range; directly below an owner's domain, which may have customers, 1. */
const widestGap = 4;
/** Longer numbers are accounts, times, sizes: no family. */
const mostDigits = 4;

/** Zones that hand out names, at any depth below them, and are not wholly on the Public Suffix List. */
const tenants: ReadonlyMap<string, true> = new Map(
  [
    ...["amazonaws.com", "amazonaws.com.cn", "aws.dev", "on.aws", "api.aws", "awsapps.com", "amazonaws.eu"],
    ...[
      "windows.net",
      "azure.com",
      "azure.net",
      "azure-api.net",
      "azurecr.io",
      "azurewebsites.net",
      "azurestaticapps.net",
    ],
    ...["azurecontainerapps.io", "azurecontainer.io", "azure-devices.net", "chinacloudapi.cn", "visualstudio.com"],
    ...["trafficmanager.net", "cloudapp.net", "onmicrosoft.com", "sharepoint.com", "powerapps.com"],
    ...["googleapis.com", "googleusercontent.com", "pkg.dev", "run.app", "cloudfunctions.net", "appspot.com", "goog"],
    ...["firebaseio.com", "firebaseapp.com", "web.app", "withgoogle.com"],
    ...["oraclecloud.com", "oraclevcn.com", "appdomain.cloud", "aliyuncs.com", "myqcloud.com", "myhuaweicloud.com"],
    ...[
      "digitaloceanspaces.com",
      "ondigitalocean.app",
      "linodeobjects.com",
      "linodeusercontent.com",
      "vultrobjects.com",
    ],
    ...["backblazeb2.com", "wasabisys.com", "cloudflarestorage.com", "r2.dev", "scw.cloud", "ovh.net", "hetzner.cloud"],
    ...["jfrog.io", "cloudsmith.io", "gemfury.com", "fury.io", "packagecloud.io", "quay.io", "gitlab.io", "github.io"],
    ...["githubpreview.dev", "github.dev", "app.github.dev", "gitpod.io", "codespaces.new", "repl.co", "replit.dev"],
    ...["herokuapp.com", "netlify.app", "vercel.app", "now.sh", "fly.dev", "render.com", "onrender.com", "railway.app"],
    ...["supabase.co", "mongodb.net", "elastic-cloud.com", "snowflakecomputing.com", "databricks.com", "datadoghq.com"],
    ...["atlassian.net", "zendesk.com", "slack.com", "myshopify.com", "wordpress.com", "blogspot.com", "force.com"],
    ...["salesforce.com", "okta.com", "auth0.com", "service-now.com", "sentry.io", "statuspage.io", "readthedocs.io"],
    ...["dyndns.org", "duckdns.org", "no-ip.org", "nip.io", "sslip.io", "ts.net", "ngrok.io", "trycloudflare.com"],
  ].map((zone) => [zone, true] as const),
);

const presetPatterns = Object.keys(presets)
  .flatMap((name) => presetHosts(name))
  .flatMap(({ host: text }) => {
    const pattern = parsePattern(text);
    return isPatternDefect(pattern) || !/^[^*]*\{/.test(text) ? [] : [{ text, pattern }];
  });

/**
 * The reviewed pattern of a built-in preset that a name falls under: numbered accounts that one provider is known to own, though
 * their zone is anybody's. Null where there is none.
 */
export function presetPattern(name: string): string | null {
  return presetPatterns.find(({ pattern }) => matchesPattern(pattern, name))?.text ?? null;
}

/**
 * True where a pattern in the first label of a name lets in nobody but the owner of the name, as far as the Public Suffix
 * List and the zones above know.
 */
export function isOneOwners(name: string): boolean {
  const domain = registrableDomain(name);
  if (domain === null || domain === name) return false;
  return entryFor(tenants, name) === null && entryFor(fronts, name) === null && entryFor(sinks, name) === null;
}

/** True for a name in a zone where anybody can get one of his own, for little or nothing: an attacker, too. */
export function isAnybodys(name: string): boolean {
  if (presetPattern(name) !== null) return false;
  return entryFor(tenants, name) !== null || entryFor(fronts, name) !== null;
}

/**
 * Folds names (canonical, distinct); what is not folded stays out. `stars` allows wildcards for random-looking labels. `isTls`:
 * they were met on 443 over TLS, which is all that presets are reviewed for.
 */
export function foldNames(names: readonly string[], stars: boolean, isTls = true): Fold[] {
  const out: Fold[] = [];
  const byPreset = Map.groupBy(names, (name) => (isTls ? presetPattern(name) : null));
  for (const [pattern, group] of byPreset) if (pattern !== null) out.push({ pattern, names: group, how: "preset" });
  let rest = (byPreset.get(null) ?? []).filter(isOneOwners);
  if (stars) {
    const zones = Map.groupBy(rest.filter(isRandom), zoneOf);
    const folded = [...zones].filter(([zone, group]) => group.length >= leastRandom && isDeep(zone));
    for (const [zone, group] of folded) out.push({ pattern: `*.${zone}`, names: group, how: "star" });
    const gone = new Set(folded.flatMap(([, group]) => group));
    rest = rest.filter((name) => !gone.has(name));
  }
  const families = Map.groupBy(
    rest.filter((name) => numberOf(name) !== null),
    (name) => {
      const { lead, trail } = numberOf(name)!;
      return `${lead} ${trail}.${zoneOf(name)}`;
    },
  );
  for (const group of families.values()) {
    if (group.length < leastNumbers) continue;
    const { lead, trail } = numberOf(group[0]!)!;
    const numbers = group.map((name) => numberOf(name)!.value).toSorted((a, b) => a - b);
    const zone = zoneOf(group[0]!);
    const pattern = `${lead}{${rangesOf(numbers, isDeep(zone) ? widestGap : 1)}}${trail}.${zone}`;
    out.push({ pattern, names: group, how: "numbers" });
  }
  return out;
}

/** Zones with enough random-looking names to be asked about, where stars were not allowed. */
export function starCandidates(names: readonly string[]): { zone: string; names: number }[] {
  return foldNames(names, true)
    .filter(({ how }) => how === "star")
    .map(({ pattern, names }) => ({ zone: pattern.slice(2), names: names.length }));
}

function zoneOf(name: string): string {
  return name.slice(name.indexOf(".") + 1);
}

/** Directly below a registrable domain are all its services, and perhaps its customers: only deeper zones are of one kind. */
function isDeep(zone: string): boolean {
  return registrableDomain(zone) !== zone;
}

function isRandom(name: string): boolean {
  return encodedBits(name.slice(0, name.indexOf("."))) > 0;
}

/** The last number of the first label, as patterns write numbers: decimal, without leading zeros. */
function numberOf(name: string): { lead: string; value: number; trail: string } | null {
  const match = /^(|.*[^0-9])([0-9]+)([^0-9]*)$/.exec(name.slice(0, name.indexOf(".")));
  const value = match === null || match[2]!.length > mostDigits ? null : decimal(match[2]!);
  return value === null ? null : { lead: match![1]!, value, trail: match![3]! };
}

function rangesOf(numbers: readonly number[], gap: number): string {
  const ranges: [number, number][] = [];
  for (const number of numbers) {
    const last = ranges.at(-1);
    if (last !== undefined && number - last[1] <= gap) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}
