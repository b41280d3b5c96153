/* Linked into the program of the tarball, which brings its C library with it (packaging/build tarball).
 *
 * To look up a host or a user, that library loads the modules that /etc/nsswitch.conf of the machine names, as for mDNS.
 * They belong to the C library of the machine: with another version they crash the program, and a machine with musl has
 * none. What `files` and `dns` do is part of the library since glibc 2.34, and is all that is used here: /etc/hosts,
 * /etc/resolv.conf (read again when it changes) and, for the home folder of somebody without HOME, /etc/passwd. */
#include <nss.h>

__attribute__((constructor)) static void without_modules(void)
{
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
}
