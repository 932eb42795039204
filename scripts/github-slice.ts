/**
 * `node scripts/github-slice.ts api.github.com.json ghes-3.18.json`: the part of GitHub's OpenAPI description that
 * `sallyport posture` asks, as one JSON text on stdout, for `test/schemas/`. Both files are of the npm package @octokit/openapi
 * (MIT, © GitHub and Octokit contributors), folder `generated`. Of each operation: the schema of a good answer with its references
 * written out, and the example. `test/support/github.ts` answers from it.
 */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

/** What the product asks and sets; paths as the description writes them. */
const wanted: readonly string[] = [
  "get /repos/{owner}/{repo}",
  "get /repos/{owner}/{repo}/actions/permissions",
  "get /repos/{owner}/{repo}/actions/permissions/workflow",
  "put /repos/{owner}/{repo}/actions/permissions/workflow",
  "get /repos/{owner}/{repo}/actions/permissions/fork-pr-contributor-approval",
  "put /repos/{owner}/{repo}/actions/permissions/fork-pr-contributor-approval",
  "get /repos/{owner}/{repo}/actions/permissions/fork-pr-workflows-private-repos",
  "put /repos/{owner}/{repo}/actions/permissions/fork-pr-workflows-private-repos",
  "get /repos/{owner}/{repo}/actions/runners",
  "get /repos/{owner}/{repo}/actions/runs",
  "get /repos/{owner}/{repo}/actions/runs/{run_id}/jobs",
  "get /repos/{owner}/{repo}/rules/branches/{branch}",
  "get /repos/{owner}/{repo}/branches/{branch}/protection",
  "get /repos/{owner}/{repo}/git/trees/{tree_sha}",
  "get /repos/{owner}/{repo}/git/blobs/{file_sha}",
  "get /repos/{owner}/{repo}/copilot/cloud-agent/configuration",
  "get /repos/{owner}/{repo}/issues",
  "post /repos/{owner}/{repo}/issues",
  "patch /repos/{owner}/{repo}/issues/{issue_number}",
  "get /user",
  "get /orgs/{org}/repos",
  "get /orgs/{org}/actions/permissions",
  "get /orgs/{org}/actions/permissions/workflow",
  "put /orgs/{org}/actions/permissions/workflow",
  "get /orgs/{org}/actions/permissions/fork-pr-contributor-approval",
  "put /orgs/{org}/actions/permissions/fork-pr-contributor-approval",
  "get /orgs/{org}/actions/permissions/fork-pr-workflows-private-repos",
  "put /orgs/{org}/actions/permissions/fork-pr-workflows-private-repos",
  "get /orgs/{org}/actions/permissions/self-hosted-runners",
  "get /orgs/{org}/actions/runners",
  "get /orgs/{org}/actions/runner-groups",
  "get /orgs/{org}/actions/runner-groups/{runner_group_id}",
  "patch /orgs/{org}/actions/runner-groups/{runner_group_id}",
  "get /orgs/{org}/actions/runner-groups/{runner_group_id}/repositories",
  "get /orgs/{org}/actions/hosted-runners",
];

export interface Operation {
  status: number;
  /** Of a good answer; null: it has no body. */
  schema: object | null;
  example: unknown;
  /** Of what is sent. */
  body?: object;
  /** GitHub Enterprise Server 3.18 has it. */
  server: boolean;
}

export interface Slice {
  source: string;
  licence: string;
  operations: Record<string, Operation>;
}

type Json = Record<string, unknown>;

/** Throws where the description lacks an operation. */
export function sliceOf(description: Json, server: Json): Slice {
  const operations = wanted.map((name): [string, Operation] => {
    const [method, path] = name.split(" ") as [string, string];
    const operation = within(description, "paths", path, method);
    if (operation === null) throw new Error(`the description has no ${name}`);
    const [status, answer] = Object.entries(operation["responses"] as Json).find(([code]) => code.startsWith("2"))!;
    const content = within(resolved(description, answer) as Json, "content", "application/json");
    const body = within(operation, "requestBody", "content", "application/json", "schema");
    return [
      name,
      {
        status: Number(status),
        schema: content === null ? null : (plain(description, content["schema"], 0) as object),
        example: exampleOf(description, content),
        ...(body === null ? {} : { body: plain(description, body, 0) as object }),
        server: within(server, "paths", path, method) !== null,
      },
    ];
  });
  const info = description["info"] as Json;
  return {
    source: `@octokit/openapi, GitHub's REST API ${String(info["version"])}`,
    licence: "MIT",
    operations: Object.fromEntries(operations),
  };
}

function within(value: Json, ...names: string[]): Json | null {
  let here: unknown = value;
  for (const name of names) here = (here as Json | undefined)?.[name];
  return here === undefined ? null : (here as Json);
}

function resolved(description: Json, node: unknown): unknown {
  const reference = (node as Json | null)?.["$ref"];
  if (typeof reference !== "string") return node;
  return within(description, ...reference.slice(2).split("/"));
}

function exampleOf(description: Json, content: Json | null): unknown {
  if (content === null) return null;
  if (content["example"] !== undefined) return content["example"];
  const [first] = Object.values((content["examples"] as Json | undefined) ?? {});
  return (resolved(description, first) as Json | undefined)?.["value"] ?? null;
}

/** Levels of an answer that we read; below, anything goes, so that the slice stays small. */
const deepest = 6;
const kept = ["type", "properties", "required", "items", "enum", "oneOf", "anyOf", "allOf", "additionalProperties"];

/** A schema with references written out; what only describes is left out, and `nullable` is a type. */
function plain(description: Json, node: unknown, depth: number): unknown {
  const schema = resolved(description, node) as Json;
  if (typeof schema !== "object" || schema === null) return schema;
  const inner = (each: unknown) => (depth >= deepest ? {} : plain(description, each, depth + 1));
  const out: Json = {};
  for (const key of kept) {
    const value = schema[key];
    if (value === undefined) continue;
    if (key === "properties")
      out[key] = Object.fromEntries(Object.entries(value as Json).map(([name, each]) => [name, inner(each)]));
    else if (key === "items") out[key] = inner(value);
    else if (key.endsWith("Of")) out[key] = (value as unknown[]).map(inner);
    else if (key === "additionalProperties") out[key] = typeof value === "object" ? {} : value;
    else out[key] = value;
  }
  if (schema["nullable"] === true) return { anyOf: [out, { type: "null" }] };
  return out;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [description, server] = process.argv
    .slice(2)
    .map((path) => JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>);
  process.stdout.write(`${JSON.stringify(sliceOf(description!, server!))}\n`);
}
