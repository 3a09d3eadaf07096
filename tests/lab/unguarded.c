/*
 * What xenmig must never do. Switches the dirty log of a domain on, waits until its standard input
 * ends, and switches it off again without asking who owns it by then.
 *
 * usage: unguarded DOMID
 */
#include <stdio.h>
#include <stdlib.h>
#include <xenctrl.h>

static xc_interface *xen;
static uint32_t domid;

static void switch_log(unsigned int operation, const char *name)
{
    if (xc_shadow_control(xen, domid, operation, NULL, 0) < 0) {
        perror(name);
        exit(1);
    }
    puts(name);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 64;
    domid = (uint32_t)strtoul(argv[1], NULL, 10);
    xen = xc_interface_open(NULL, NULL, 0);
    if (!xen)
        return 69;
    switch_log(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, "on");
    while (getchar() != EOF)
        ;
    switch_log(XEN_DOMCTL_SHADOW_OP_OFF, "off");
    return xc_interface_close(xen) ? 1 : 0;
}
