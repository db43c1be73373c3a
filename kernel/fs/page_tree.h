// SPDX-License-Identifier: ISC
// A sparse array of page addresses: a radix tree with 64-way nodes. Height 0 holds one page in the
// root itself, so small files need no node. Not locked: the owner's lock guards it.
#ifndef LITH_FS_PAGE_TREE_H
#define LITH_FS_PAGE_TREE_H

#include "mm/mm.h"

struct page_tree {
    uint64_t root;   // page (height 0) or node (direct-mapped pointer), 0: empty
    uint32_t height; // levels of nodes
    uint32_t nodes;  // allocated, 512 bytes each
    uint64_t pages;
};
uint64_t page_tree_get(const struct page_tree *t, uint64_t index); // 0: hole
// -ENOMEM. The slot must be empty.
int page_tree_set(struct page_tree *t, uint64_t index, uint64_t pa);
uint64_t page_tree_remove(struct page_tree *t, uint64_t index); // the page that was there
// Smallest index >= from that holds a page; false: none.
bool page_tree_next(const struct page_tree *t, uint64_t from, uint64_t *index);
void page_tree_free_nodes(struct page_tree *t); // the tree holds no page any more

#endif
