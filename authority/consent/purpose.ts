/** What a purpose may be: it is shown to users, goes on record and into policies, and its words are the asker's. */

const MAX_PURPOSE_CHARACTERS = 200;

/** For messages. */
export const PURPOSE_RULE = `one line of at most ${MAX_PURPOSE_CHARACTERS} characters`;

/** Whether a text is one: no controls, no marks that turn the direction of text, no line breaks of Unicode's, no half pairs. */
export function isPurpose(text: string): boolean {
  return text.length <= MAX_PURPOSE_CHARACTERS && !/[\p{C}\p{Zl}\p{Zp}]/u.test(text);
}
