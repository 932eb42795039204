/** Settings files of `[section]` and `key = value` lines, as Python's configparser and npm read them. */

/** One setting; the section is empty before the first. */
export interface Setting {
  readonly section: string;
  readonly key: string;
  readonly value: string;
}

/** Every setting of a text, in order. An indented line goes on with the value before it. Never throws; odd lines say nothing. */
export function readIni(text: string): Setting[] {
  const settings: { section: string; key: string; value: string }[] = [];
  let section = "";
  let isOpen = false;
  for (const line of text.split(/\r\n?|\n/)) {
    const bare = line.trim();
    if (bare === "" || /^[#;]/.test(bare)) continue;
    const head = /^\[([^\]]*)\]$/.exec(bare);
    const pair = /^([^=:\s][^=:]*?)\s*[=:]\s*(.*)$/.exec(bare);
    if (isOpen && /^\s/.test(line)) {
      const last = settings.at(-1)!;
      last.value = last.value === "" ? bare : `${last.value}\n${bare}`;
    } else if (head !== null) {
      section = head[1]!.trim();
      isOpen = false;
    } else if (pair !== null) {
      settings.push({ section, key: pair[1]!.trim(), value: pair[2]!.trim() });
      isOpen = true;
    }
  }
  return settings;
}
