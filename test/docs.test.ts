/** What the documentation names is there: paths, links, functions in their files, npm scripts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const exists = (path: string): boolean => existsSync(join(ROOT, path));

const TOP = new Set(readdirSync(ROOT));
const PAGES = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    // The plan names what is still to come.
    .filter((name) => name.endsWith('.md') && !name.startsWith('design/'))
    .map((name) => `docs/${name}`),
];
/** State of a running mesh, not in the checkout: `readme.test.ts` looks for it. */
const STATE = /(^|\/)\.behalf\//;

test.each(PAGES)('%s names only paths that exist', (page) => {
  expect(pathsIn(read(page)).filter((path) => !exists(path))).toEqual([]);
});

test.each(PAGES)('the links of %s lead somewhere', (page) => {
  const dead = linksIn(read(page)).filter((link) => {
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : join(dirname(page), path);
    return !exists(target) || (anchor !== undefined && !anchorsIn(read(target)).includes(anchor));
  });
  expect(dead).toEqual([]);
});

test.each(PAGES)('functions that %s names stand in the files beside them', (page) => {
  const absent = [...read(page).matchAll(/`(\w+)`\s\(`([\w/.-]+\.ts)`\)/g)].filter(
    ([, name, file]) => !(exists(file!) && new RegExp(`\\bfunction ${name}\\b`).test(read(file!))),
  );
  expect(absent.map(([text]) => text)).toEqual([]);
});

test.each(PAGES)('the npm scripts that %s names exist', (page) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const named = [...read(page).matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)].map(
    ([, script, short]) => script ?? short!,
  );
  expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
});

test('docs/architecture.md names every part', () => {
  const { PARTS } = /const PARTS = (?<PARTS>[\s\S]*?)const ALL/.exec(read('.dependency-cruiser.cjs'))!.groups!;
  const parts = [...PARTS!.matchAll(/^ {2}(\w+): \[|PARTS\.(\w+) =/gm)].map(([, first, later]) => first ?? later!);
  const page = read('docs/architecture.md');
  expect(parts.length).toBeGreaterThan(8);
  expect(
    ['ca', 'authority', 'collector', 'sidecar', ...parts].filter((part) => !page.includes(`\`${part}/\``)),
  ).toEqual([]);
});

/** Words in backticks that begin with a folder of the checkout, or name a file at its top. */
function pathsIn(markdown: string): string[] {
  return [...markdown.matchAll(/`([\w@./-]+)`/g)]
    .map(([, word]) => word!)
    .filter((word) =>
      word.includes('/') ? TOP.has(word.split('/')[0]!) : /^[\w.]+\.(ts|md|json)$/.test(word) && isTop(word),
    )
    .filter((word) => !STATE.test(word));
}

/** Files without a folder are meant at the top where they begin with a capital, as README.md, or a dot. */
function isTop(word: string): boolean {
  return /^[A-Z.]/.test(word);
}

function linksIn(markdown: string): string[] {
  return [...markdown.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!).filter((link) => !/^\w+:/.test(link));
}

/** As GitHub makes them of headings. */
function anchorsIn(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}
