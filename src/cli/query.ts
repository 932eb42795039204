/** `sallyport query`: the arguments, the progress, and how an answer is shown. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseTime } from "../audit/clock.ts";
import { SallyportError } from "../errors.ts";
import { parseSize } from "../policy/size.ts";
import type { Answer, Query, QueryOptions } from "../query/query.ts";
import type { Question } from "../query/questions.ts";
import { collect, integer, timeOrAgo } from "./options.ts";

interface QueryArguments {
  state: string[];
  sql?: string;
  since?: string;
  until?: string;
  limit?: number;
  json?: true;
  csv?: true;
  cache?: string;
  threads: number;
  memory: number;
  quiet?: true;
}

const usualLimit = 20;
const usualSqlLimit = 1000;

export function addQueryCommand(program: Command): void {
  program
    .command("query")
    .description("Ask the record: one of our questions, or SQL.")
    .argument("[question]", "destinations, runners, rules, jobs, would-deny, new-names, uploads; compact, clear")
    .option("-s, --state <dir>", "state directory, or a report of `sallyport run` (repeatable)", collect, [])
    .option("--sql <select>", "a SELECT over the view `events` instead of a question")
    .option("--since <when>", "events of that time and later: RFC 3339, or 10m, 24h, 7d ago")
    .option("--until <when>", "events before that time")
    .option(
      "-n, --limit <rows>",
      `at most so many rows (${usualLimit}; with --sql ${usualSqlLimit})`,
      integer(1, 1_000_000),
    )
    .option("--json", "as JSON, one object a line")
    .option("--csv", "as CSV")
    .option("--cache <dir>", "keep copies of sealed segments there, not in the state directories")
    .option("--threads <n>", "threads of the query engine", integer(1, 64), 2)
    .addOption(new Option("--memory <size>", "its memory").argParser(size).default(512_000_000, "512 MB"))
    .option("-q, --quiet", "no progress")
    .addHelpText(
      "after",
      `
Questions:
  destinations   where connections went, the most first
  runners        which runners connected how often, and sent how much
  rules          which rules decided how often, and what went through them
  jobs           which jobs connected how often, where the record knows jobs
  would-deny     what enforcing would refuse, by rule and destination
  new-names      names seen for the first time: in the last 7 days, or since --since
  uploads        bytes sent, by name, the most first
  compact        asks nothing: copies sealed segments, so that the next question is quick
  clear          asks nothing: deletes these copies

Examples:
  sallyport query destinations --state /var/lib/sallyport --since 24h
  sallyport query new-names --state gw1 --state gw2 --json
  sallyport query --state gw1 --sql "SELECT reason, sum(count) FROM events GROUP BY reason"`,
    )
    .action(async (question: string | undefined, options: QueryArguments) => {
      process.exitCode = await run(question, options);
    });
}

async function run(name: string | undefined, options: QueryArguments): Promise<number> {
  if (options.state.length === 0) throw new SallyportError("USAGE", "Say which record with --state DIR.");
  if (options.json === true && options.csv === true) throw new SallyportError("USAGE", "--json or --csv, not both.");
  if ((name === undefined) === (options.sql === undefined)) {
    throw new SallyportError("USAGE", "Ask one of the questions, or --sql.");
  }
  if (name === "clear") return await clear(options);
  const [{ isQuestion, questions }, { Query }] = await Promise.all([
    import("../query/questions.ts"),
    import("../query/query.ts"),
  ]);
  if (name !== undefined && name !== "compact" && !isQuestion(name)) {
    throw new SallyportError("USAGE", `There is no question ${name}; there are ${Object.keys(questions).join(", ")}.`);
  }
  const since = timeOf(options.since);
  const until = timeOf(options.until);
  return await stoppable(async (signal) => {
    const progress = new Progress(options.quiet === true);
    const given: QueryOptions = {
      inputs: options.state,
      ...{ since, until, signal, cache: options.cache ?? null },
      ...{ threads: options.threads, memoryBytes: options.memory },
      onProgress: (done, of) => progress.at(`copying sealed segments, once for each: ${done} of ${of} done`),
      onNote: (text) => process.stderr.write(`sallyport: ${text}\n`),
    };
    let query: Query | null = null;
    try {
      query = await Query.open(given);
      progress.at("asking");
      if (name === "compact") return 0;
      const answer =
        name !== undefined && isQuestion(name)
          ? await query.ask(name, options.limit ?? usualLimit)
          : await query.select(options.sql!, options.limit ?? usualSqlLimit);
      progress.end();
      const question: Question | null = name !== undefined && isQuestion(name) ? questions[name] : null;
      await show(answer, options, question);
      return 0;
    } finally {
      progress.end();
      await query?.close();
    }
  });
}

async function clear({ state, cache, json }: QueryArguments): Promise<number> {
  const { clearCopies } = await import("../query/cache.ts");
  const count = await clearCopies(state, cache ?? null);
  console.log(json === true ? JSON.stringify({ deleted: count }) : `Deleted ${count} copies.`);
  return 0;
}

async function show(answer: Answer, options: QueryArguments, question: Question | null): Promise<void> {
  const { answerCsv, answerJson, answerText, incompleteText } = await import("../query/table.ts");
  const incomplete = incompleteText(answer.incomplete, options.state.length === 1);
  if (options.json === true) process.stdout.write(answerJson(answer));
  else if (options.csv === true) {
    process.stdout.write(answerCsv(answer));
    for (const line of incomplete) process.stderr.write(`sallyport: ${line}\n`);
  } else {
    const colour = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
    const hide = question !== null && options.state.length === 1 ? ["gateway"] : [];
    process.stdout.write(`${[answerText(answer, { colour, hide }), ...incomplete].join("\n")}\n`);
  }
  if (answer.more)
    process.stderr.write(`sallyport: there are more rows than these ${answer.rows.length}; --limit shows more\n`);
}

/** Microseconds; null where nothing is said. */
function timeOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const micros = parseTime(timeOrAgo(text));
  if (micros !== null) return micros;
  throw new SallyportError("USAGE", `${text} is no time: write 24h, 7d, or RFC 3339 such as 2026-01-31T08:00:00Z.`);
}

function size(value: string): number {
  const bytes = parseSize(value);
  if (bytes !== null && bytes >= 64_000_000) return bytes;
  throw new InvalidArgumentError("Write a size of 64 MB or more, such as 512 MB or 2 GB.");
}

/** What is going on, on stderr, once it takes longer than people like to wait. */
class Progress {
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #began = performance.now();
  #text = "reading";

  constructor(quiet: boolean) {
    if (quiet) return;
    this.#timer = setInterval(() => {
      const seconds = Math.round((performance.now() - this.#began) / 1000);
      process.stderr.write(`sallyport: ${this.#text} (${seconds} s) …\n`);
    }, 2000);
  }

  at(text: string): void {
    this.#text = text;
  }

  end(): void {
    clearInterval(this.#timer);
  }
}

/** Ctrl-C ends the question; what was made for it is taken away first. */
async function stoppable(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
  const stop = new AbortController();
  let code: number | null = null;
  for (const signal of Object.keys(codes) as (keyof typeof codes)[]) {
    process.on(signal, () => {
      code ??= codes[signal];
      stop.abort();
    });
  }
  try {
    return await work(stop.signal);
  } catch (error) {
    if (code === null) throw error;
    return code;
  }
}
