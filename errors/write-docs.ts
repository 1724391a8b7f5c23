/** `node errors/write-docs.ts` writes `docs/errors.md`; with `--check` it writes nothing and exits 1 where the page differs. */
import { readFileSync, writeFileSync } from 'node:fs';
import { errorsPage } from './docs-page.ts';

const PAGE = new URL('../docs/errors.md', import.meta.url);

if (process.argv.includes('--check')) {
  if (readFileSync(PAGE, 'utf8') !== errorsPage()) {
    process.stderr.write('docs/errors.md differs from errors/table.ts: run `node errors/write-docs.ts`\n');
    process.exitCode = 1;
  }
} else {
  writeFileSync(PAGE, errorsPage());
}
