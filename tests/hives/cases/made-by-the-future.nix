{ __schema = "waggle/7"; }
