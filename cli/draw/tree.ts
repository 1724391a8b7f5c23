/** Draws a tree of nodes, each a headline with further lines below, by the branch characters that people know from `tree`. */

export interface TreeNode {
  /** The first line names the node, the others say more. */
  readonly lines: readonly string[];
  readonly children: readonly TreeNode[];
}

/** The lines of the drawing. */
export function drawTree(roots: readonly TreeNode[]): string[] {
  return roots.flatMap((root) => [
    ...root.lines.map((line, index) => (index === 0 ? line : `${root.children.length > 0 ? '│ ' : '  '}${line}`)),
    ...drawChildren(root.children, ''),
  ]);
}

function drawChildren(children: readonly TreeNode[], indent: string): string[] {
  return children.flatMap((child, index) => {
    const isLast = index === children.length - 1;
    const below = `${indent}${isLast ? '   ' : '│  '}`;
    const stem = child.children.length > 0 ? '│ ' : '  ';
    return [
      ...child.lines.map((line, at) =>
        at === 0 ? `${indent}${isLast ? '└─ ' : '├─ '}${line}` : `${below}${stem}${line}`,
      ),
      ...drawChildren(child.children, below),
    ];
  });
}
