/**
 * GitHub's REST API in miniature, by its own OpenAPI description (`test/schemas/github-rest.json`, made by
 * `scripts/github-slice.ts`): what no test says is answered by the description's example; what a test says must be valid by the
 * description's schema, so that no test invents an API. What is sent must be valid, too, and is kept: a PUT is answered from then
 * on, a PATCH changes the item of a list that the test gave, and a POST adds one.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { z } from "zod";
import type { Operation, Slice } from "../../scripts/github-slice.ts";

export const slice = JSON.parse(readFileSync(new URL("../schemas/github-rest.json", import.meta.url), "utf8")) as Slice;

/** An answer that is none of the description's. */
export class Odd {
  readonly status: number;
  readonly body: string;
  readonly headers: Record<string, string>;

  constructor(status: number, body: string | object, headers: Record<string, string> = {}) {
    this.status = status;
    this.body = typeof body === "string" ? body : JSON.stringify(body);
    this.headers = headers;
  }
}

export interface Github {
  readonly url: string;
  /** `GET /repos/octo/api`, in order. */
  readonly requests: string[];
  /** Bodies of what was sent, by request. */
  readonly sent: { readonly request: string; readonly body: unknown }[];
  /** What paths answer, `/repos/octo/api`, or one method of them, `PUT /repos/…`; a value is checked by the description. */
  readonly answers: Map<string, unknown>;
}

export interface GithubOptions {
  readonly answers?: Record<string, unknown>;
  /** Only what GitHub Enterprise Server 3.18 has. */
  readonly server?: true;
  /** Items of a page, below what is asked for. */
  readonly page?: number;
  readonly token?: string;
  /** Headers of every answer. */
  readonly headers?: Record<string, string>;
  /** Called before each request, `PUT /repos/…`, is answered: what happens meanwhile. */
  readonly meanwhile?: (request: string, answers: Map<string, unknown>) => void;
}

const validators = new Map<object, z.ZodType>();

/** Throws where a value breaks the schema in another place than the description's own example does. */
function valid(schema: object, value: unknown, example: unknown, what: string): void {
  const broken = new Set(issuesOf(schema, example).map(({ path }) => path.join(".")));
  const issues = issuesOf(schema, value).filter(({ path }) => !broken.has(path.join(".")));
  assert.deepEqual(issues, [], what);
}

function issuesOf(schema: object, value: unknown): readonly z.core.$ZodIssue[] {
  let validator = validators.get(schema);
  if (validator === undefined) {
    validator = z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]);
    validators.set(schema, validator);
  }
  return validator.safeParse(value).error?.issues ?? [];
}

const templates = Object.entries(slice.operations).map(([name, operation]) => {
  const [method, path] = name.split(" ") as [string, string];
  return {
    method,
    operation,
    pattern: new RegExp(`^${path.replaceAll(/\{[^}]+\}/g, "([^/]+)")}$`),
    parts: path.split("{").length,
  };
});

export function operationOf(method: string, path: string): Operation | null {
  const fitting = templates.filter((each) => each.method === method.toLowerCase() && each.pattern.test(path));
  // `/a/selected` before `/a/{id}`.
  return fitting.toSorted((a, b) => a.parts - b.parts)[0]?.operation ?? null;
}

/** Starts one on the loopback; it ends with the test. */
export async function github(t: TestContext, options: GithubOptions = {}): Promise<Github> {
  const answers = new Map(Object.entries(options.answers ?? {}));
  const requests: string[] = [];
  const sent: { request: string; body: unknown }[] = [];
  const failures: unknown[] = [];
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      failures.push(error);
      response.destroy();
    });
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url!, "http://x");
    const path = url.pathname;
    const named = `${request.method} ${path}`;
    requests.push(named);
    options.meanwhile?.(named, answers);
    const say = (status: number, body: string, headers: Record<string, string> = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...options.headers, ...headers }).end(body);
    };
    if (options.token !== undefined && request.headers.authorization !== `Bearer ${options.token}`)
      return say(401, '{"message":"Bad credentials"}');
    const item = itemOf(answers, path);
    const own = answers.get(named) ?? answers.get(path) ?? item?.value;
    if (own instanceof Odd) return say(own.status, own.body, own.headers);
    const operation = operationOf(request.method!, path);
    if (operation === null || (options.server === true && !operation.server))
      return say(404, '{"message":"Not Found"}');
    if (request.method !== "GET") {
      const body = JSON.parse(await text(request)) as object;
      if (operation.body !== undefined) valid(operation.body, body, null, named);
      sent.push({ request: named, body });
      if (request.method === "PUT") answers.set(path, { ...(own as object), ...body });
      if (request.method === "PATCH")
        return say(operation.status, JSON.stringify(item?.set(body) ?? operation.example));
      if (request.method === "POST") return say(operation.status, JSON.stringify(added(own, body, operation)));
      return say(operation.status, operation.schema === null ? "" : JSON.stringify(operation.example));
    }
    const value = own ?? operation.example;
    if (own !== undefined && operation.schema !== null) valid(operation.schema, value, operation.example, path);
    const { body, next } = paged(value, url, options.page ?? Infinity);
    const link =
      next === null ? {} : { link: `<http://${request.headers.host}${next}>; rel="next", <http://x/>; rel="last"` };
    say(operation.status, JSON.stringify(body), link);
  };
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
    assert.deepEqual(failures, []);
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, sent, answers };
}

/** The item of a list that an answer holds, by its number or id at the end of a path. */
function itemOf(
  answers: ReadonlyMap<string, unknown>,
  path: string,
): { value: object; set: (more: object) => object } | null {
  const cut = path.lastIndexOf("/");
  const list = listIn(answers.get(path.slice(0, cut)));
  const index = list.findIndex((each) => String(each["number"] ?? each["id"]) === path.slice(cut + 1));
  if (index < 0) return null;
  return { value: list[index]!, set: (more) => (list[index] = { ...list[index], ...more }) };
}

/** The list itself, to be changed. */
function listIn(value: unknown): Record<string, unknown>[] {
  const list = Array.isArray(value) ? value : Object.values(value ?? {}).find((each) => Array.isArray(each));
  return (list ?? []) as Record<string, unknown>[];
}

/** A new item, as its example, at the end of the list. */
function added(own: unknown, body: object, { example }: Operation): object {
  const list = listIn(own);
  // The description's example of an issue is a pull request, which nobody makes so.
  const item = {
    ...(example as object),
    pull_request: undefined,
    ...body,
    id: 1000 + list.length,
    number: 1000 + list.length,
  };
  list.push(item);
  return item;
}

/** One page of a list, or of the list in an object with `total_count`. */
function paged(value: unknown, url: URL, most: number): { body: unknown; next: string | null } {
  const key = Array.isArray(value)
    ? null
    : Object.entries(value as object).find(
        ([, each]) => Array.isArray(each) && "total_count" in (value as object),
      )?.[0];
  if (key === undefined) return { body: value, next: null };
  const items = (key === null ? value : (value as Record<string, unknown>)[key]) as unknown[];
  const size = Math.min(most, Number(url.searchParams.get("per_page") ?? 30));
  const page = Number(url.searchParams.get("page") ?? 1);
  const slice = items.slice((page - 1) * size, page * size);
  url.searchParams.set("page", String(page + 1));
  const next = page * size < items.length ? `${url.pathname}${url.search}` : null;
  return { body: key === null ? slice : { ...(value as object), [key]: slice }, next };
}

async function text(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}
