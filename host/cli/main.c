// SPDX-License-Identifier: ISC
// `lith`: the table of commands, help, and the way to lith-image.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

const struct command commands[] = {
    {"build", NULL, "-t NAME[:TAG] [-f FILE] [--build-arg NAME=VALUE] [-q] DIR",
     "Make an image from a Dockerfile",
     "  -t, --tag NAME[:TAG]     name of the image\n"
     "  -f, --file FILE          the Dockerfile (default DIR/Dockerfile)\n"
     "      --build-arg N=V      value of an ARG; N alone takes it from the environment\n"
     "  -q, --quiet              print the image's id only\n\n"
     "FROM names scratch or an image of `lith images`. There is no RUN: nothing of the image is "
     "executed\n"
     "while it is built. Packages come from the base image (see `lith help import`).\n"},
    {"images", NULL, "[-q] [--no-trunc] [NAME[:TAG]]", "List images",
     "  -q, --quiet              print ids only\n"
     "      --no-trunc           print whole ids\n"},
    {"import", NULL, "[-q] SOURCE NAME[:TAG]",
     "Make a base image from Debian packages, a tar file or a container image",
     "SOURCE is one of\n"
     "  deb:PKG[,PKG...]         Debian packages and what they depend on, from this host's apt "
     "sources;\n"
     "                           nothing is installed here, root is not needed. Only what they\n"
     "                           depend on: for a shell or ls, name dash or coreutils too\n"
     "  oci:DIR[:REF]            an ordinary container image (skopeo copy docker://... oci:DIR)\n"
     "  FILE                     a tar file of a root file system\n"},
    {"info", NULL, "", "Show where things are and what this host can do", ""},
    {"inspect", NULL, "[--calls] IMAGE [IMAGE...]", "Show an image's details as JSON",
     "      --calls              list per file how many system call sites were found, rewritten "
     "and left\n"},
    {"rmi", NULL, "IMAGE [IMAGE...]", "Remove images", ""},
    {"run", cmd_run, "[OPTIONS] IMAGE|./PROGRAM [ARG...]",
     "Start an instance of an image, or a program built with lith-cc, and wait for its end",
     "  -p, --publish [IP:]HOST:GUEST[/udp]  let clients of this host reach a port of the "
     "instance\n"
     "  -e, --env NAME=VALUE     environment; NAME alone takes the value from here\n"
     "      --env-file FILE      lines of NAME=VALUE\n"
     "  -m, --memory SIZE        memory of the instance (default 128M, at least 4M;\n"
     "                           1M for programs built with lith-cc)\n"
     "  -w, --workdir DIR        working directory\n"
     "  -u, --user NAME[:GROUP]  user (names of the image, or numbers)\n"
     "      --hostname NAME      name of the instance (default lith)\n"
     "      --entrypoint PROGRAM replaces the image's ENTRYPOINT\n"
     "      --net user           through passt, needs no root (default)\n"
     "      --net tap:NAME       a tap device that exists; address by --ip, else by DHCP\n"
     "      --net none           no network\n"
     "      --ip ADDR/PREFIX     IPv4 address of the instance\n"
     "      --gateway ADDR       default gateway\n"
     "      --dns ADDR           name server (may be repeated)\n"
     "      --mac-address MAC    MAC address (default random)\n"
     "      --platform auto|kvm|process|qemu  auto is the first of these that works here\n"
     "      --boot-chart         print what the start spent its time on\n"
     "      --allow-jit          let the program have memory that is writable and executable at "
     "once\n"
     "      --log LEVEL          messages of the kernel: error, warn (default), info, debug\n"
     "      --stats              print the instance's counters to standard error at its end\n"
     "      --rm                 accepted for docker's sake: instances leave nothing behind\n\n"
     "The exit status is the program's; 125 when lith failed, 126 when the program cannot be "
     "executed,\n"
     "127 when it is not found. Ctrl-C and SIGTERM reach the program, which then has 10 "
     "seconds.\n"
     "The program reads nothing from standard input. Under QEMU its standard error comes out on "
     "standard\n"
     "output.\n"},
    {"size", NULL, "[--json] [--svg FILE] [--why SYMBOL|LIBRARY] PROGRAM",
     "Show what a program built with lith-cc is made of",
     "      --json               the same and the object files, as JSON\n"
     "      --svg FILE           a treemap\n"
     "      --why WHAT           by which references a symbol or a library came in\n\n"
     "Reads the program as lith-cc left it: with symbols, not stripped.\n"},
    {"stats", cmd_stats, "[--json] [--watch[=SECONDS]|--since-start] [PROCESS|NAME]",
     "Show what running instances do: CPU, memory, network, exits",
     "      --json               all counters of all of them, or of the one named\n"
     "      --watch[=SECONDS]    again and again (default every second), each with its difference\n"
     "      --since-start        rates since the start of the instance: answers at once\n"
     "      --no-stream          accepted for docker's sake: that is how it is\n\n"
     "PROCESS is an instance's process, NAME its image or program: then all counters are told, by "
     "reason.\n"
     "Shown are the instances whose processes you may look into: your own, root all. Memory and "
     "CPU are\n"
     "those of the instance's process and of its helpers (passt, QEMU). EXITS/S: returns of KVM to "
     "the\n"
     "monitor; on platform process, calls to the host; QEMU has no counters for us.\n"},
    {"symbolize", NULL, "[--base ADDR] PROGRAM [ADDR|kernel+0xOFF...]",
     "Turn addresses of a crash report into names",
     "      --base ADDR          where the image was loaded, if the report does not say it\n\n"
     "Without addresses a report is read from standard input and comes out with names in it.\n"},
    {"tag", NULL, "IMAGE NAME[:TAG]", "Give an image another name", ""},
    {"version", cmd_version, "", "Show the version", ""},
    {"help", cmd_help, "[COMMAND]", "Show help", ""},
    {0},
};

static const struct command *command_find(const char *name)
{
    for (const struct command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

// What docker's users try next.
static int command_unknown(const char *name)
{
    static const struct {
        const char *names, *advice;
    } advice[] = {
        {" ps stop kill logs attach start restart rm wait top ",
         "an instance is one process in the foreground: ps shows it, kill -TERM stops it"},
        {" pull push login save load search ",
         "lith talks to no registry: skopeo copy docker://... oci:DIR, then lith import oci:DIR "
         "NAME"},
        {" exec ", "an instance holds one program: start it with another by lith run --entrypoint"},
        {" image container volume network compose ", "docker's groups of commands are not there"},
    };
    char *word = xasprintf(" %s ", name);
    const char *more = NULL;
    for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]) && more == NULL; i++)
        if (strchr(name, ' ') == NULL && strstr(advice[i].names, word) != NULL)
            more = advice[i].advice;
    free(word);
    return tool_usage("", "'%s' is not a lith command%s%s%s", name, more ? " (" : "",
                      more ? more : "", more ? ")" : "");
}

static void help_all(FILE *out)
{
    fputs("Usage: lith COMMAND\n\nMakes and runs applications as their own tiny operating "
          "systems.\n\n"
          "Commands:\n",
          out);
    for (const struct command *c = commands; c->name; c++)
        fprintf(out, "  %-10s %s\n", c->name, c->summary);
    fputs("\n`lith help COMMAND` tells more. A first image and its start:\n"
          "  lith import deb:nginx-light debian-nginx\n"
          "  lith build -t web examples/nginx\n"
          "  lith run -p 8080:80 web\n",
          out);
}

int cmd_help(int argc, char *argv[])
{
    if (argc < 2) {
        help_all(stdout);
        return 0;
    }
    const struct command *c = command_find(argv[1]);
    if (c == NULL)
        return command_unknown(argv[1]);
    printf("Usage: lith %s%s%s\n\n%s\n", c->name, c->usage[0] ? " " : "", c->usage, c->summary);
    if (c->help[0])
        printf("\n%s", c->help);
    return 0;
}

int cmd_version(int argc, char *argv[])
{
    (void)argv;
    if (argc > 1)
        return tool_usage("version", "version takes no arguments");
    printf("lith version %s\n", LITH_VERSION);
    return 0;
}

// Everything but `run` needs libraries; lith-image has them.
static int exec_image(char *argv[])
{
    char *path = xasprintf("%s/lith-image", exe_dir());
    execv(path, argv);
    struct err e;
    err_sys(&e, -errno, "cannot run %s (it belongs beside `lith`)", path);
    free(path);
    return tool_fail(&e);
}

int main(int argc, char *argv[])
{
    std_fds();
    if (argc < 2) {
        help_all(stderr);
        return EXIT_TOOL;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0 || strcmp(name, "-v") == 0)
        name = "version";
    const struct command *c = command_find(name);
    if (c == NULL)
        return command_unknown(argv[1]);
    // `lith VERB --help`, as docker has it; behind the image of `run` it is the program's.
    if (argc == 3 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
        char *words[] = {argv[2], argv[1], NULL};
        return cmd_help(2, words);
    }
    if (c->run == NULL)
        return exec_image(argv);
    int status = c->run(argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "lith: cannot write to standard output: %s\n", strerror(errno));
        return EXIT_TOOL;
    }
    return status;
}
