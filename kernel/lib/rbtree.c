// SPDX-License-Identifier: ISC
// Red-black trees, intrusive (Cormen et al., Introduction to Algorithms, chapter 13), without
// sentinel.
#include "lib/lib.h"

static void rotate(struct rb_root *root, struct rb_node *x, bool left)
{
    struct rb_node *y = left ? x->right : x->left;
    struct rb_node *inner = left ? y->left : y->right;
    if (left)
        x->right = inner;
    else
        x->left = inner;
    if (inner)
        inner->parent = x;
    y->parent = x->parent;
    if (!x->parent)
        root->node = y;
    else if (x == x->parent->left)
        x->parent->left = y;
    else
        x->parent->right = y;
    if (left)
        y->left = x;
    else
        y->right = x;
    x->parent = y;
}

void rb_insert(struct rb_root *root, struct rb_node *n, struct rb_node *parent,
               struct rb_node **link)
{
    n->parent = parent;
    n->left = n->right = NULL;
    n->red = true;
    *link = n;
    while (n->parent && n->parent->red) {
        struct rb_node *p = n->parent, *g = p->parent; // a red node is not the root: g exists
        bool p_left = p == g->left;
        struct rb_node *uncle = p_left ? g->right : g->left;
        if (uncle && uncle->red) {
            p->red = uncle->red = false;
            g->red = true;
            n = g;
            continue;
        }
        if (n == (p_left ? p->right : p->left)) {
            rotate(root, p, p_left);
            struct rb_node *t = n;
            n = p;
            p = t;
        }
        p->red = false;
        g->red = true;
        rotate(root, g, !p_left);
    }
    root->node->red = false;
}

static void replace(struct rb_root *root, struct rb_node *old, struct rb_node *new)
{
    if (!old->parent)
        root->node = new;
    else if (old == old->parent->left)
        old->parent->left = new;
    else
        old->parent->right = new;
    if (new)
        new->parent = old->parent;
}

// `x` (may be NULL, below `parent`) carries one black too few above it.
static void fix_removal(struct rb_root *root, struct rb_node *x, struct rb_node *parent)
{
    while (parent && (!x || !x->red)) {
        bool left = x == parent->left;
        struct rb_node *w = left ? parent->right : parent->left; // exists: x is one black short
        if (w->red) {
            w->red = false;
            parent->red = true;
            rotate(root, parent, left);
            w = left ? parent->right : parent->left;
        }
        struct rb_node *near = left ? w->left : w->right, *far = left ? w->right : w->left;
        if (!(near && near->red) && !(far && far->red)) {
            w->red = true;
            x = parent;
            parent = x->parent;
            continue;
        }
        if (!(far && far->red)) {
            near->red = false;
            w->red = true;
            rotate(root, w, !left);
            w = left ? parent->right : parent->left;
            far = left ? w->right : w->left;
        }
        w->red = parent->red;
        parent->red = false;
        far->red = false;
        rotate(root, parent, left);
        x = root->node;
        break;
    }
    if (x)
        x->red = false;
}

void rb_remove(struct rb_root *root, struct rb_node *n)
{
    struct rb_node *child, *parent;
    bool black;
    if (!n->left || !n->right) {
        child = n->left ? n->left : n->right;
        parent = n->parent;
        black = !n->red;
        replace(root, n, child);
    } else {
        struct rb_node *s = n->right; // successor takes n's place
        while (s->left)
            s = s->left;
        child = s->right;
        black = !s->red;
        if (s->parent == n) {
            parent = s;
        } else {
            parent = s->parent;
            replace(root, s, child);
            s->right = n->right;
            s->right->parent = s;
        }
        replace(root, n, s);
        s->left = n->left;
        s->left->parent = s;
        s->red = n->red;
    }
    if (black)
        fix_removal(root, child, parent);
    n->parent = n->left = n->right = NULL;
}

struct rb_node *rb_first(const struct rb_root *root)
{
    struct rb_node *n = root->node;
    while (n && n->left)
        n = n->left;
    return n;
}

struct rb_node *rb_last(const struct rb_root *root)
{
    struct rb_node *n = root->node;
    while (n && n->right)
        n = n->right;
    return n;
}

struct rb_node *rb_next(const struct rb_node *n)
{
    if (n->right) {
        struct rb_node *r = n->right;
        while (r->left)
            r = r->left;
        return r;
    }
    while (n->parent && n == n->parent->right)
        n = n->parent;
    return n->parent;
}

struct rb_node *rb_prev(const struct rb_node *n)
{
    if (n->left) {
        struct rb_node *r = n->left;
        while (r->right)
            r = r->right;
        return r;
    }
    while (n->parent && n == n->parent->left)
        n = n->parent;
    return n->parent;
}
