/**
 * SQL reads the record and nothing else. Whoever may ask must not thereby read other files, write any, reach the network, or
 * change what the next question sees; and what the record holds was partly written by those it is about.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { getPriority } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { SallyportError } from "../errors.ts";
import { columns } from "./columns.ts";
import { Engine } from "./engine.ts";
import { Query } from "./query.ts";
import { connection, epoch, Recorder, temporary } from "./testing/records.ts";

const work = temporary();
const out = join(work, "out");
const secret = join(work, "secret.csv");
const recorder = new Recorder(join(work, "state"));
let query: Query;

before(async () => {
  mkdirSync(out);
  writeFileSync(secret, "a,b\n1,hunter2\n");
  recorder.segment([connection("a.example", { count: 3 }), connection("b.example")]);
  recorder.segment([connection("c.example", { time: epoch + 1_000_000 })]);
  query = await Query.open({ inputs: [recorder.directory] });
});

after(async () => await query.close());

async function refusal(sql: string): Promise<string> {
  const error = await query.select(sql, 10).then(
    ({ rows }) => assert.fail(`${sql} was answered: ${JSON.stringify(rows)}`),
    (error: unknown) => error,
  );
  assert.ok(error instanceof SallyportError, `${sql}: ${String(error)}`);
  assert.ok(["QUERY_INVALID", "QUERY_FAILED"].includes(error.code), `${sql}: ${error.code}`);
  assert.doesNotMatch(error.message, /hunter2|root:/);
  return error.message;
}

describe("SQL over the record", () => {
  test("sees every event, sealed and live, with the columns that are documented", async () => {
    const { rows } = await query.select("SELECT name, count FROM events ORDER BY seq", 10);
    assert.deepEqual(rows, [
      ["a.example", 3],
      ["b.example", 1],
      ["c.example", 1],
    ]);
    const { fields } = await query.select("SELECT * FROM events", 1);
    assert.deepEqual(
      fields.map(({ name }) => name),
      ["gateway", ...columns.map(({ name }) => name)],
    );
    const described = await query.select("DESCRIBE events", 100);
    assert.deepEqual(
      described.rows.slice(1).map(([name, type]) => [name, type]),
      columns.map(({ name, type }) => [name, type]),
    );
    const text = readFileSync(new URL("../../docs/query.md", import.meta.url), "utf8");
    const told = [...text.matchAll(/^\| `([a-z0-9_]+)` \| ([a-z[\]]+) \|/gm)].map(([, name, type]) => [name, type]);
    assert.deepEqual(told, [["gateway", "varchar"], ...columns.map(({ name, type }) => [name, type.toLowerCase()])]);
  });

  test("may use what SELECT has: subqueries, joins, windows, lists, JSON, times", async () => {
    for (const sql of [
      "WITH a AS (SELECT name, sum(count) AS n FROM events GROUP BY ALL) FROM a ORDER BY n DESC",
      "SELECT e.name, r.range FROM events e, range(2) r",
      "SELECT name, row_number() OVER (ORDER BY time) FROM events QUALIFY row_number() OVER (ORDER BY time) = 1",
      "SELECT unnest(names_of_ip) FROM events",
      "SELECT data->>'$.a', regexp_matches(name, '^a') FROM events",
      "SELECT date_trunc('hour', time), count(DISTINCT source_ip) FROM events WHERE time < now() GROUP BY 1",
      "SELECT 1 UNION ALL SELECT 2",
      "VALUES (1)",
      "SUMMARIZE SELECT bytes_up FROM events",
    ]) {
      assert.ok((await query.select(sql, 100)) !== null, sql);
    }
  });

  test("cannot read a file", async () => {
    const list = (path: string) => [
      `SELECT * FROM read_csv('${path}')`,
      `SELECT * FROM read_text('${path}')`,
      `SELECT * FROM read_blob('${path}')`,
      `SELECT * FROM '${path}'`,
      `FROM "${path}"`,
      `SELECT * FROM read_parquet('${path}')`,
      `SELECT * FROM parquet_metadata('${path}')`,
      `SELECT * FROM sniff_csv('${path}')`,
      `SELECT (SELECT content FROM read_text('${path}'))`,
      `WITH x AS (FROM read_text('${path}')) FROM x`,
      `SELECT * FROM events WHERE name IN (SELECT content FROM read_text('${path}'))`,
      `SELECT * FROM events, LATERAL (SELECT * FROM read_text('${path}'))`,
      `SELECT * FROM query('SELECT * FROM read_text(''${path}'')')`,
      `SELECT * FROM query_table('${path}')`,
      `DESCRIBE SELECT * FROM read_csv('${path}')`,
      `SUMMARIZE FROM read_csv('${path}')`,
      `SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''${path}'')'))`,
    ];
    for (const sql of [...list("/etc/passwd"), ...list(secret), ...list("/proc/self/environ")]) await refusal(sql);
    await refusal(`SELECT * FROM glob('${work}/*')`);
  });

  test("cannot write one, attach, load, or set anything", async () => {
    const before = readdirSync(work);
    for (const sql of [
      `COPY events TO '${out}/a.csv'`,
      `COPY (SELECT 1) TO '${out}/a.parquet' (FORMAT parquet)`,
      `EXPORT DATABASE '${out}'`,
      `ATTACH '${out}/a.db'`,
      `ATTACH '${out}/a.db' AS a; SELECT 1`,
      `SELECT 1; COPY (SELECT 1) TO '${out}/b.csv'`,
      `COPY (SELECT 1) TO '${out}/b.csv'; SELECT 1`,
      `EXPLAIN ANALYZE COPY (SELECT 1) TO '${out}/c.csv'`,
      `CREATE TABLE t (x INT)`,
      `CREATE OR REPLACE VIEW events AS SELECT 1`,
      `DROP VIEW events`,
      `INSERT INTO live_1 SELECT * FROM live_1`,
      `DELETE FROM live_1`,
      `SET threads = 64`,
      `SET enable_external_access = true`,
      `RESET lock_configuration`,
      `PRAGMA threads = 64`,
      `CALL enable_logging('QueryLog', storage := 'file', storage_config := {'path': '${out}/log'})`,
      `SELECT * FROM enable_logging('QueryLog', storage := 'file', storage_config := {'path': '${out}/log'})`,
      `SELECT * FROM enable_profiling(format := 'json', save_location := '${out}/profile.json')`,
      `SELECT * FROM force_checkpoint()`,
      `SELECT write_log('x')`,
      `LOAD httpfs`,
      `INSTALL httpfs`,
      `FORCE INSTALL httpfs FROM 'http://192.0.2.1'`,
      `CREATE SECRET s (TYPE s3)`,
      `SELECT * FROM read_csv('http://192.0.2.1/x.csv')`,
      `PREPARE p AS SELECT 1`,
      `IMPORT DATABASE '${out}'`,
      `VACUUM`,
    ]) {
      await refusal(sql);
    }
    assert.deepEqual(readdirSync(out), []);
    assert.deepEqual(readdirSync(work), before);
    // And the next question sees what the first one saw.
    assert.deepEqual((await query.select("SELECT count(*) FROM events", 1)).rows, [[3]]);
  });

  test("what does not parse or bind is said, with the place", async () => {
    assert.match(await refusal("SELEC 1"), /syntax error/);
    assert.match(await refusal("SELECT nam FROM events"), /nam.*not found|Referenced column "nam"/s);
    assert.match(await refusal("SELECT CAST('x' AS INTEGER)"), /Could not convert/);
    assert.match(await refusal("SELECT CAST(chr(27) || '[2J' AS INTEGER)"), /string '\\u\{1b\}\[2J'/);
    assert.match(await refusal(""), /one question at a time; these are 0/);
    assert.match(await refusal("SELECT 1; SELECT 2"), /these are 2/);
    assert.match(await refusal(`SELECT ${"abs(".repeat(5000)}1${")".repeat(5000)}`), /depth|exhausted/i);
  });

  test("--since and --until hold for `events`; `record` is all of it", async () => {
    const bounded = await Query.open({ inputs: [recorder.directory], since: epoch + 1, until: epoch + 2_000_000 });
    try {
      assert.deepEqual((await bounded.select("SELECT name FROM events", 9)).rows, [["c.example"]]);
      assert.deepEqual((await bounded.select("SELECT count(*) FROM record", 9)).rows, [[3]]);
    } finally {
      await bounded.close();
    }
  });

  test("answers are exact: large sums, times, lists and structures", async () => {
    const { rows, fields, more } = await query.select(
      `SELECT 9007199254740993::HUGEINT AS big, 2::HUGEINT AS small, TIMESTAMP '2026-05-04 09:00:00.000001' AS at, [1, 2] AS list,
       {'a': NULL, 'b': DATE '2026-05-04'} AS s, MAP {'k': 1.5} AS m, 1e308 * 10 AS inf, 'x' AS big`,
      1,
    );
    assert.deepEqual(
      fields.map(({ name }) => name),
      ["big", "small", "at", "list", "s", "m", "inf", "big:1"],
    );
    assert.deepEqual(rows, [
      [
        "9007199254740993",
        2,
        "2026-05-04T09:00:00.000001Z",
        [1, 2],
        { a: null, b: "2026-05-04" },
        [{ key: "k", value: 1.5 }],
        "Infinity",
        "x",
      ],
    ]);
    assert.equal(more, false);
    assert.equal((await query.select("FROM range(5)", 2)).more, true);
  });

  test("an answer that would not fit into memory is refused, however few its rows are", async () => {
    const bounded = await Query.open({ inputs: [recorder.directory], answerBytes: 100_000 });
    try {
      for (const sql of ["SELECT repeat('x', 30000) AS a FROM range(8)", "SELECT range(20000)"]) {
        const message = /larger than 100000 bytes; ask for less/;
        await assert.rejects(bounded.select(sql, 10), { code: "QUERY_INVALID", message });
      }
      assert.equal((await bounded.select("SELECT repeat('x', 10000) FROM range(8)", 10)).rows.length, 8);
    } finally {
      await bounded.close();
    }
  });

  test("the secret is there to be read", () => {
    assert.ok(existsSync(secret) && readFileSync("/etc/passwd", "utf8").startsWith("root:"));
  });
});

test("the engine's own lock holds without the look at the statement, too: two walls, not one", async () => {
  const scratch = temporary();
  const engine = await Engine.open({ scratch });
  const file = await open(secret, "r");
  try {
    await engine.lock([]);
    for (const sql of [
      `SELECT * FROM read_text('${secret}')`,
      `SELECT * FROM read_text('/proc/self/fd/${file.fd}')`,
      `SELECT * FROM read_text('/proc/${process.pid}/fd/${file.fd}')`,
      `SELECT * FROM read_text('/proc/${process.pid}/fd/../environ')`,
      `COPY (SELECT 1) TO '${out}/x.csv'`,
      `ATTACH '${out}/x.db'`,
      "LOAD httpfs",
      "SET enable_external_access = true",
      "SET allowed_paths = ['/']",
      "RESET lock_configuration",
    ]) {
      await assert.rejects(engine.run(sql), /Permission|locked|disabled|Cannot/, sql);
    }
  } finally {
    await file.close();
    engine.close();
  }
  assert.deepEqual(readdirSync(out), []);
});

test("the engine is nicer than whatever else runs: every thread of the process", async () => {
  for (const thread of readdirSync("/proc/self/task")) assert.ok(getPriority(Number(thread)) >= 10);
});
