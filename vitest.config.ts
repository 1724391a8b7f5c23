import { defineConfig } from 'vitest/config';

// The file that vitest reads wants a default export; nothing else in the project has one.
export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', '.behalf/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
