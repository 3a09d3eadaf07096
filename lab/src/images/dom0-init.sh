#!/bin/sh
# Dom0's init: Xen's daemons, then the agent for as long as the host lives.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/xen-@XEN@/bin:/run/xenlab/bin
export HOME=/root LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm
mount -t xenfs xenfs /proc/xen
# From here on nothing is written to the disk, and what is read is in memory:
# a disk that interrupts while a guest runs can lose the guest (see qemu.rs), and while all wait for
# the disk, time inside flies: a script that takes half a second outside exceeds libxl's 40 s.
for dir in /var /root /home /opt /usr/local; do
    mkdir -p /run/copy && cp -a "$dir/." /run/copy
    mount -t tmpfs -o mode=755 tmpfs "$dir"
    cp -a /run/copy/. "$dir" && rm -rf /run/copy
done
cat /boot/vmlinux /etc/xen/* /etc/xen/scripts/* /usr/bin/* /usr/sbin/* /usr/lib/xen-*/bin/* /usr/lib/x86_64-linux-gnu/*.so* \
    /usr/lib/xen-common/bin/* > /dev/null 2>&1
mkdir -p /run/xenstored /run/xen /run/lock
hostname dom0
ip link set lo up
# Where guests' network cards go; quiet while there are none.
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
ip link add @BRIDGE@ type bridge mcast_snooping 0
ip addr add @DOM0@/24 dev @BRIDGE@
ip link set @BRIDGE@ up
xenstored
while [ ! -S /run/xenstored/socket ]; do sleep 0.05; done
xen-init-dom0
xenconsoled --log=guest --log-dir=/var/log/xen
port=
for name in /sys/class/virtio-ports/*/name; do
    [ "$(cat "$name")" = xenlab ] && port=/dev/$(basename "$(dirname "$name")")
done
echo "LAB: dom0 up, agent on $port"
# The shell stays as init: it reaps whatever is orphaned.
while :; do
    xenlab-agent "$port"
    echo "LAB: agent ended with $?"
    sleep 0.2
done
