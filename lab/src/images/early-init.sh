#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module"; done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
mount -t ext4 -o noatime /dev/vda /root || exec sh
mount -t tmpfs -o mode=755 run /root/run
mv /xenlab /root/run/xenlab
umount /proc /sys /dev
exec switch_root /root /run/xenlab/init
